import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';

const headerBytes = 4;
const maxPacketBytes = 1024 * 1024;
/** In the low half of the capabilities: the server, or the client, can do TLS. */
export const tlsCapability = 0x0800;

export interface Packet {
  readonly sequence: number;
  readonly payload: Buffer;
}

export function encodePacket({ sequence, payload }: Packet): Buffer {
  const header = Buffer.alloc(headerBytes);
  header.writeUIntLE(payload.length, 0, 3);
  header.writeUInt8(sequence & 0xff, 3);
  return Buffer.concat([header, payload]);
}

/** Reads one packet and leaves what follows it in the stream; null when the stream ended before it began. */
export async function readPacket(stream: Duplex): Promise<Packet | null> {
  const header = await readExactly(stream, headerBytes);
  if (header === null) return null;
  const length = header.readUIntLE(0, 3);
  if (length > maxPacketBytes)
    throw new XVaultError('SOURCE_PROTOCOL', { detail: 'not the greeting of a MySQL server' });
  const payload = length === 0 ? Buffer.alloc(0) : await readExactly(stream, length);
  if (payload === null) throw new XVaultError('SOURCE_LOST', { detail: 'the server hung up within a packet' });
  return { sequence: header.readUInt8(3), payload };
}

/** Where the capabilities are in a server's greeting (version 10); undefined when it is another packet. */
export function capabilitiesAt(greeting: Buffer): number | undefined {
  if (greeting[0] !== 10) return undefined;
  const versionEnd = greeting.indexOf(0, 1);
  // Version, connection id (4), first part of the challenge (8), filler (1).
  const at = versionEnd + 1 + 4 + 8 + 1;
  return versionEnd === -1 || greeting.length < at + 2 ? undefined : at;
}

export function offersTls(greeting: Buffer): boolean {
  const at = capabilitiesAt(greeting);
  return at !== undefined && (greeting.readUInt16LE(at) & tlsCapability) !== 0;
}

async function readExactly(stream: Duplex, length: number): Promise<Buffer | null> {
  for (;;) {
    const piece: Buffer | null = stream.read(length);
    if (piece !== null && piece.length === length) return piece;
    if (piece !== null) {
      // At the end of a stream `read` gives what is left, however little.
      throw new XVaultError('SOURCE_LOST', { detail: 'the server hung up within a packet' });
    }
    if (stream.readableEnded) return null;
    await readableOrEnded(stream);
  }
}

function readableOrEnded(stream: Duplex): Promise<void> {
  return new Promise((resolve, reject) => {
    if (stream.destroyed) return reject(stream.errored ?? new XVaultError('SOURCE_LOST', { detail: 'hung up' }));
    const settle = (act: () => void) => {
      for (const name of ['readable', 'end']) stream.removeListener(name, onReadable);
      stream.removeListener('error', onError);
      stream.removeListener('close', onClose);
      act();
    };
    const onReadable = () => settle(resolve);
    const onError = (error: unknown) => settle(() => reject(error));
    const onClose = () => settle(() => reject(new XVaultError('SOURCE_LOST', { detail: 'the server hung up' })));
    for (const name of ['readable', 'end']) stream.on(name, onReadable);
    stream.once('error', onError);
    stream.once('close', onClose);
  });
}
