import { createDecipheriv, hkdfSync } from 'node:crypto';

/** The payload of an age file: age-encryption.org/v1, "STREAM" chunks of ChaCha20-Poly1305. */
export const ageChunkBytes = 64 * 1024;
export const ageTagBytes = 16;
export const ageNonceBytes = 16;
export const ageStoredChunkBytes = ageChunkBytes + ageTagBytes;
/** Some hundred recipients of the largest kind; not a limit of age's. */
export const maxAgeHeaderBytes = 256 * 1024;

const algorithm = 'chacha20-poly1305';
const options = { authTagLength: ageTagBytes };

export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): Buffer {
  return Buffer.from(hkdfSync('sha256', fileKey, nonce, 'payload', 32));
}

/** 11 bytes of big-endian counter, then 1 for the last chunk. */
export function chunkNonce(index: number, last: boolean): Buffer {
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(Math.floor(index / 2 ** 32), 3);
  nonce.writeUInt32BE(index % 2 ** 32, 7);
  nonce[11] = last ? 1 : 0;
  return nonce;
}

/** The plaintext of one stored chunk (ciphertext and tag); undefined when its tag does not fit. */
export function openChunk(key: Buffer, index: number, last: boolean, stored: Buffer): Buffer | undefined {
  const end = stored.length - ageTagBytes;
  const decipher = createDecipheriv(algorithm, key, chunkNonce(index, last), options);
  decipher.setAuthTag(stored.subarray(end));
  const plaintext = decipher.update(stored.subarray(0, end));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plaintext;
}
