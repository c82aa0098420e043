import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileStream, SkippedItem, SourceEntry } from '../connector.ts';
import { skip, toEntry, typeOf } from './entries.ts';
import { fstat, openFile, readRange } from './operations.ts';
import { readBytes } from './small-files.ts';
import { itemCodeOf, SftpStatusError } from './status.ts';
import type { SftpWire } from './wire.ts';

/** Reads in flight: 2 MiB, as much as the SSH channel's window takes. */
const readsInFlight = 64;

export async function openLargeFile(
  wire: SftpWire,
  remote: Buffer,
  listed: SourceEntry,
  signal: AbortSignal,
): Promise<FileStream | SkippedItem> {
  let handle: Buffer | undefined;
  try {
    handle = Buffer.from(await openFile(wire, remote, signal));
    const attrs = await fstat(wire, handle, signal);
    const type = typeOf(attrs);
    if (type === 'file' || type === 'unknown')
      return fileStream(wire, handle, toEntry(listed.path, 'file', attrs), signal);
    wire.release(handle);
    return skip(listed.path, 'ITEM_VANISHED', 'something else has taken its name');
  } catch (error) {
    if (handle) wire.release(handle);
    if (!(error instanceof SftpStatusError)) throw error;
    return skip(listed.path, itemCodeOf(error, remote), error.message);
  }
}

function fileStream(wire: SftpWire, handle: Buffer, entry: SourceEntry, signal: AbortSignal): FileStream {
  let open = true;
  return {
    entry,
    chunks: readAhead(wire, handle, entry.sizeBytes, signal),
    async changed() {
      const now = await fstat(wire, handle, signal);
      return now.sizeBytes !== entry.sizeBytes || now.mtimeNs !== entry.mtimeNs;
    },
    async close() {
      if (open) wire.release(handle);
      open = false;
    },
  };
}

/** A file's bytes in order while later ones are under way; ends early where the file has become shorter. */
async function* readAhead(
  wire: SftpWire,
  handle: Buffer,
  sizeBytes: number,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  const inFlight: { asked: number; reading: Promise<Buffer> }[] = [];
  let next = 0;
  try {
    for (;;) {
      while (inFlight.length < readsInFlight && next < sizeBytes) {
        const asked = Math.min(readBytes, sizeBytes - next);
        const reading = readRange(wire, handle, next, asked, signal);
        // Looked at in its turn; until then a failure must not count as unhandled.
        reading.catch(() => undefined);
        inFlight.push({ asked, reading });
        next += asked;
      }
      const oldest = inFlight.shift();
      if (!oldest) return;
      const chunk = await oldest.reading;
      if (chunk.length > 0) yield chunk;
      if (chunk.length < oldest.asked) return;
    }
  } catch (cause) {
    if (!(cause instanceof SftpStatusError)) throw cause;
    throw new XVaultError('SOURCE_READ_FAILED', { detail: `reading broke off: ${cause.message}`, cause });
  }
}
