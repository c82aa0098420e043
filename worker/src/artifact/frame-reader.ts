import { promisify } from 'node:util';
import { constants, type ZstdOptions, zstdDecompress } from 'node:zlib';
import { XVaultError } from '@xvault/shared/errors.ts';
import { type FrameMap, type ReadRange, readSeekTable } from './seek-table.ts';

const decompress = promisify<Buffer, ZstdOptions, Buffer>(zstdDecompress);

/** What level 19 uses at most, so that no frame that a writer makes is refused. */
const minWindowLog = 23;

/** Frames that are kept: the one that is read and the one after it. */
const keptFrames = 2;

/** Reads any range of a seekable zstd stream's content, a frame at a time. */
export class FrameReader {
  readonly #map: FrameMap;
  readonly #read: ReadRange;
  readonly #kept = new Map<number, Promise<Buffer>>();

  private constructor(map: FrameMap, read: ReadRange) {
    this.#map = map;
    this.#read = read;
  }

  static async open(streamBytes: number, read: ReadRange): Promise<FrameReader> {
    return new FrameReader(await readSeekTable(streamBytes, read), read);
  }

  get frameCount(): number {
    return this.#map.frameCount;
  }

  get contentBytes(): number {
    return this.#map.contentOffsets[this.#map.frameCount] ?? 0;
  }

  /**
   * `length` bytes of content from `offset`, in order; while one frame is consumed the next is made ready. The buffers
   * are shared with later reads: they must not be changed. Throws ARTIFACT_CORRUPT; the signal's reason when aborted.
   */
  async *range(offset: number, length: number, signal: AbortSignal): AsyncGenerator<Buffer, void, void> {
    const end = offset + length;
    if (offset < 0 || length < 0 || end > this.contentBytes) throw corrupt('a range beyond the end is asked for');
    if (length === 0) return;
    let frame = this.#frameAt(offset);
    let ahead: Promise<Buffer> | undefined;
    try {
      for (let at = offset; at < end; frame += 1) {
        signal.throwIfAborted();
        const content = await this.#frame(frame);
        const frameOffset = this.#map.contentOffsets[frame] ?? 0;
        const piece = content.subarray(at - frameOffset, Math.min(end - frameOffset, content.length));
        at += piece.length;
        ahead = at < end ? this.#frame(frame + 1) : undefined;
        // Its failure is thrown when its turn comes, not before.
        ahead?.catch(() => undefined);
        if (piece.length > 0) yield piece;
      }
    } finally {
      // Nothing may still be reading when the caller closes the file.
      if (ahead !== undefined) await Promise.allSettled([ahead]);
    }
  }

  #frame(frame: number): Promise<Buffer> {
    const kept = this.#kept.get(frame);
    if (kept !== undefined) return kept;
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size < keptFrames) break;
      this.#kept.delete(oldest);
    }
    const loading = this.#load(frame);
    this.#kept.set(frame, loading);
    loading.catch(() => {
      // A failed read may be tried again.
      if (this.#kept.get(frame) === loading) this.#kept.delete(frame);
    });
    return loading;
  }

  async #load(frame: number): Promise<Buffer> {
    const { storedOffsets, contentOffsets } = this.#map;
    const start = storedOffsets[frame] ?? 0;
    const contentBytes = (contentOffsets[frame + 1] ?? 0) - (contentOffsets[frame] ?? 0);
    const stored = await this.#read(start, (storedOffsets[frame + 1] ?? 0) - start);
    const content = await inflate(stored, contentBytes, frame);
    if (content.length !== contentBytes)
      throw corrupt(`frame ${frame} holds ${content.length} bytes, not ${contentBytes}`);
    return content;
  }

  /** The frame that holds the byte at this offset of the content. */
  #frameAt(offset: number): number {
    let low = 0;
    let high = this.#map.frameCount;
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#map.contentOffsets[middle] ?? 0) <= offset) low = middle;
      else high = middle;
    }
    return low;
  }
}

async function inflate(stored: Buffer, contentBytes: number, frame: number): Promise<Buffer> {
  try {
    // Room for all of it at once, and never more than the seek table allows.
    return await decompress(stored, {
      chunkSize: Math.max(contentBytes, 64),
      maxOutputLength: Math.max(contentBytes, 1),
      // A frame may ask for a window of gigabytes; it is allocated before anything is unpacked.
      params: { [constants.ZSTD_d_windowLogMax]: Math.max(minWindowLog, Math.ceil(Math.log2(contentBytes + 1))) },
    });
  } catch (cause) {
    throw new XVaultError('ARTIFACT_CORRUPT', { detail: `zstd frame ${frame} does not decompress`, cause });
  }
}

function corrupt(what: string): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail: `zstd stream: ${what}` });
}
