import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileStream, ReadResult, SkippedItem, SourceEntry } from '../connector.ts';
import type { FtpConnection } from './connection.ts';
import { skip } from './directory.ts';
import { isFinal, isRefusal, itemCodeOf, lostError, saidBy } from './errors.ts';
import type { FtpPool } from './pool.ts';

/** What SIZE and MDTM say; null where the server has no such command. */
interface Facts {
  readonly sizeBytes: number | null;
  readonly mtimeNs: bigint | null;
}

async function factsOf(connection: FtpConnection, path: string): Promise<Facts> {
  return { sizeBytes: await connection.size(path), mtimeNs: await connection.mtimeNs(path) };
}

/** How often a file may come shorter than its size before it is given up. */
const shortReads = 3;

/**
 * One whole small file. Where listings have only rough times, its own is asked for. What is shorter than the size that the
 * server tells was cut, and is read again.
 */
export async function readSmallFile(
  pool: FtpPool,
  path: string,
  listed: SourceEntry,
  limitBytes: number,
  signal: AbortSignal,
): Promise<ReadResult> {
  try {
    for (let tried = 1; ; tried += 1) {
      const read = await pool.retrying(signal, (connection) => readOnce(connection, path, listed, limitBytes));
      if (read !== undefined) return read;
      if (tried === shortReads) break;
    }
    return { ok: false, skipped: skip(listed.path, 'ITEM_UNREADABLE', 'the server sends less than the size it tells') };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { ok: false, skipped: skip(listed.path, itemCodeOf(error), saidBy(error)) };
  }
}

/** Undefined when it came too short. */
async function readOnce(
  connection: FtpConnection,
  path: string,
  listed: SourceEntry,
  limitBytes: number,
): Promise<ReadResult | undefined> {
  const mtimeNs = connection.listCommand === 'MLSD' ? listed.mtimeNs : await connection.mtimeNs(path);
  const parts: Buffer[] = [];
  let length = 0;
  for await (const part of connection.read(path, 0)) {
    parts.push(part);
    length += part.length;
    if (length > limitBytes) break;
  }
  const data = Buffer.concat(parts).subarray(0, limitBytes);
  let changed = length > limitBytes;
  if (!changed && length !== listed.sizeBytes) {
    const sizeBytes = await connection.size(path);
    if (sizeBytes !== null && sizeBytes > length) return undefined;
    changed = sizeBytes !== length;
  }
  const entry = { ...listed, sizeBytes: data.length, mtimeNs: mtimeNs ?? listed.mtimeNs };
  return { ok: true, entry, data, changed };
}

/** A large file; what breaks off is gone on with on another connection, from where it was. */
export async function openLargeFile(
  pool: FtpPool,
  path: string,
  listed: SourceEntry,
  signal: AbortSignal,
): Promise<FileStream | SkippedItem> {
  let before: Facts;
  try {
    before = await pool.retrying(signal, (connection) => factsOf(connection, path));
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return skip(listed.path, itemCodeOf(error), saidBy(error));
  }
  const sizeBytes = before.sizeBytes ?? listed.sizeBytes;
  const entry = { ...listed, sizeBytes, mtimeNs: before.mtimeNs ?? listed.mtimeNs };
  return {
    entry,
    chunks: readOn(pool, path, sizeBytes, signal),
    async changed() {
      try {
        const now = await pool.retrying(signal, (connection) => factsOf(connection, path));
        return now.sizeBytes !== before.sizeBytes || now.mtimeNs !== before.mtimeNs;
      } catch (error) {
        if (!isRefusal(error)) throw error;
        return true;
      }
    },
    // Ending the chunks early ends what they stand on.
    close: async () => undefined,
  };
}

async function* readOn(pool: FtpPool, path: string, sizeBytes: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  let done = 0;
  let tried = 0;
  while (done < sizeBytes) {
    const from = done;
    const end = yield* readPart(pool, path, { from, sizeBytes }, signal, (bytes) => {
      done += bytes;
    });
    if (done >= sizeBytes) return;
    tried = done > from ? 0 : tried;
    if (end.shrank) return;
    if (isFinal(end.error) || !(await pool.pause(tried, signal))) throw end.error;
    tried += 1;
  }
}

interface PartEnd {
  /** The file ends here by now. */
  readonly shrank: boolean;
  readonly error: XVaultError;
}

async function* readPart(
  pool: FtpPool,
  path: string,
  { from, sizeBytes }: { readonly from: number; readonly sizeBytes: number },
  signal: AbortSignal,
  count: (bytes: number) => void,
): AsyncGenerator<Buffer, PartEnd> {
  let left = sizeBytes - from;
  let error = new XVaultError('SOURCE_LOST', { detail: `the data connection ended ${left} bytes early` });
  let connection: FtpConnection | undefined;
  const onAbort = () => connection?.close();
  signal.addEventListener('abort', onAbort, { once: true });
  let kept = false;
  try {
    connection = await pool.acquire(signal);
    for await (const part of connection.read(path, from)) {
      const piece = part.length > left ? part.subarray(0, left) : part;
      left -= piece.length;
      count(piece.length);
      yield piece;
      // It has grown: what it was is here.
      if (left === 0 && piece.length < part.length) return { shrank: false, error };
    }
    kept = true;
  } catch (cause) {
    signal.throwIfAborted();
    kept = isRefusal(cause);
    error = isRefusal(cause)
      ? new XVaultError('SOURCE_READ_FAILED', { detail: saidBy(cause), cause })
      : lostError(cause);
  } finally {
    signal.removeEventListener('abort', onAbort);
    if (connection !== undefined && kept) pool.release(connection);
    else if (connection !== undefined) pool.discard(connection);
  }
  if (left === 0) return { shrank: false, error };
  return { shrank: await endsAt(pool, path, sizeBytes - left, signal), error };
}

/** Whether the file ends at this place now, or is gone; when the server cannot be asked, it is not known to. */
async function endsAt(pool: FtpPool, path: string, bytes: number, signal: AbortSignal): Promise<boolean> {
  try {
    const sizeBytes = await pool.use(signal, (connection) => connection.size(path));
    return sizeBytes !== null && sizeBytes <= bytes;
  } catch (error) {
    signal.throwIfAborted();
    return isRefusal(error);
  }
}
