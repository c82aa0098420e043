import { XVaultError } from '@xvault/shared/errors.ts';
import { Decrypter } from 'age-encryption';
import type { FileReader } from '../storage/storage.ts';
import { maxAgeHeaderBytes } from './age-format.ts';

const intro = Buffer.from('age-encryption.org/v1\n');
const macStart = Buffer.from('\n--- ');
const firstReadBytes = 4096;

/** The textual header at the start of an age file, its MAC line included. */
export async function readAgeHeader(file: FileReader): Promise<Buffer> {
  for (let length = firstReadBytes; ; length *= 4) {
    const available = Math.min(length, file.sizeBytes);
    const start = await file.read(0, available);
    const seen = Math.min(intro.length, start.length);
    if (!start.subarray(0, seen).equals(intro.subarray(0, seen))) throw corrupt('this is not an age file');
    const mac = start.indexOf(macStart);
    const end = mac < 0 ? -1 : start.indexOf(0x0a, mac + macStart.length);
    if (end >= 0) return start.subarray(0, end + 1);
    if (available === file.sizeBytes)
      throw new XVaultError('ARTIFACT_TRUNCATED', { detail: 'the age header ends early' });
    if (length >= maxAgeHeaderBytes) throw corrupt('the age header does not end');
  }
}

/** The file key; throws IDENTITY_MISMATCH when no identity fits, ARTIFACT_CORRUPT when the header is damaged. */
export async function openAgeHeader(header: Buffer, identities: readonly string[]): Promise<Uint8Array> {
  const decrypter = new Decrypter();
  let matched = false;
  try {
    for (const identity of identities) decrypter.addIdentity(identity);
  } catch {
    // The parser's own words may quote the key.
    throw new XVaultError('IDENTITY_MISMATCH', { detail: 'an identity is not a valid age identity' });
  }
  // Asked last, that is when no identity before it fitted.
  decrypter.addIdentity({
    unwrapFileKey: () => {
      matched = false;
      return null;
    },
  });
  try {
    matched = true;
    return await decrypter.decryptHeader(header);
  } catch (cause) {
    if (!matched) throw new XVaultError('IDENTITY_MISMATCH', { detail: 'no identity fits the age header', cause });
    throw corrupt('the age header is damaged', cause);
  }
}

function corrupt(detail: string, cause?: unknown): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail, cause });
}
