import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileStream, SkippedItem, SourceEntry } from '../connector.ts';
import { skip, toEntry, typeOf } from './entries.ts';
import type { SftpLinks } from './link.ts';
import { fstat, openFile, readRange } from './operations.ts';
import type { Attrs } from './packets.ts';
import { itemCodeOf, SftpStatusError } from './status.ts';
import type { SftpWire } from './wire.ts';

/** Asked for and not yet there: at 40 ms of latency that is 50 MB a second. More would not stay in a core's cache, and is slower nearby. */
const bytesInFlight = 2 * 1024 * 1024;

/** What has its name now is not what was being read. */
class ReplacedMeanwhile extends Error {
  override readonly name = 'ReplacedMeanwhile';
}

/** One file by its handle, which is opened again on a new connection if it is still the same file there. */
class OpenFile {
  readonly #remote: Buffer;
  readonly #signal: AbortSignal;
  #wire: SftpWire | undefined;
  #opening: Promise<{ handle: Buffer; attrs: Attrs }> | undefined;
  #first: Attrs | undefined;

  constructor(remote: Buffer, signal: AbortSignal) {
    this.#remote = remote;
    this.#signal = signal;
  }

  /** Throws SftpStatusError, ReplacedMeanwhile. */
  on(wire: SftpWire): Promise<{ handle: Buffer; attrs: Attrs }> {
    if (this.#wire !== wire || !this.#opening) {
      this.#wire = wire;
      this.#opening = this.#open(wire);
    }
    return this.#opening;
  }

  release(): void {
    const wire = this.#wire;
    this.#opening?.then(({ handle }) => wire?.release(handle)).catch(() => undefined);
  }

  async #open(wire: SftpWire): Promise<{ handle: Buffer; attrs: Attrs }> {
    const handle = Buffer.from(await openFile(wire, this.#remote, this.#signal).catch((error) => this.#gone(error)));
    const attrs = await fstat(wire, handle, this.#signal);
    this.#first ??= attrs;
    if (isSame(this.#first, attrs)) return { handle, attrs };
    wire.release(handle);
    throw new ReplacedMeanwhile('changed while the connection was broken');
  }

  /** The first time it tells why there is nothing to read; later, that it is no longer there. */
  #gone(error: unknown): never {
    throw this.#first && error instanceof SftpStatusError ? new ReplacedMeanwhile(error.message) : error;
  }
}

function isSame(a: Attrs, b: Attrs): boolean {
  return a.sizeBytes === b.sizeBytes && a.mtimeNs === b.mtimeNs;
}

/** Opens a file that is read in order, over broken connections if need be. */
export async function openLargeFile(
  links: SftpLinks,
  remote: Buffer,
  listed: SourceEntry,
  signal: AbortSignal,
): Promise<FileStream | SkippedItem> {
  const file = new OpenFile(remote, signal);
  try {
    const { attrs } = await links.run(({ wire }) => file.on(wire), signal);
    const type = typeOf(attrs);
    if (type === 'file' || type === 'unknown') {
      return fileStream(links, file, toEntry(listed.path, 'file', attrs), signal);
    }
    file.release();
    return skip(listed.path, 'ITEM_VANISHED', 'something else has taken its name');
  } catch (error) {
    file.release();
    if (!(error instanceof SftpStatusError)) throw error;
    return skip(listed.path, itemCodeOf(error, remote), error.message);
  }
}

function fileStream(links: SftpLinks, file: OpenFile, entry: SourceEntry, signal: AbortSignal): FileStream {
  let replaced = false;
  return {
    entry,
    chunks: readAhead(links, file, entry.sizeBytes, signal, () => {
      replaced = true;
    }),
    async changed() {
      if (replaced) return true;
      try {
        const look = async (wire: SftpWire) => fstat(wire, (await file.on(wire)).handle, signal);
        const now = await links.run(({ wire }) => look(wire), signal);
        return now.sizeBytes !== entry.sizeBytes || now.mtimeNs !== entry.mtimeNs;
      } catch (error) {
        if (error instanceof ReplacedMeanwhile || error instanceof SftpStatusError) return true;
        throw error;
      }
    },
    async close() {
      file.release();
    },
  };
}

/** A file's bytes in order while later ones are under way; ends early where the file has become shorter or another one. */
async function* readAhead(
  links: SftpLinks,
  file: OpenFile,
  sizeBytes: number,
  signal: AbortSignal,
  onReplaced: () => void,
): AsyncGenerator<Buffer> {
  const inFlight: { asked: number; reading: Promise<Buffer> }[] = [];
  const readBytes = await links.run(async ({ wire }) => wire.readLimitBytes, signal);
  let next = 0;
  try {
    for (;;) {
      while (inFlight.length * readBytes < bytesInFlight && next < sizeBytes) {
        const offset = next;
        const asked = Math.min(readBytes, sizeBytes - offset);
        const read = async (wire: SftpWire) => readRange(wire, (await file.on(wire)).handle, offset, asked, signal);
        const reading = links.run(({ wire }) => read(wire), signal);
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
    if (cause instanceof ReplacedMeanwhile) return onReplaced();
    if (!(cause instanceof SftpStatusError)) throw cause;
    throw new XVaultError('SOURCE_READ_FAILED', { detail: `reading broke off: ${cause.message}`, cause });
  }
}
