import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileWriter } from '../storage/storage.ts';
import type { CompressPool } from './compress-pool.ts';
import type { IndexEntry } from './entry.ts';
import type { FrameReader } from './frame-reader.ts';
import { FrameWriter } from './frames.ts';
import { decodeIndexLine, encodeIndexLine } from './index-line.ts';
import { SealedFileWriter, type StoredFile } from './sealed-file.ts';

const indexFrameBytes = 1024 * 1024;
/** Two names of 64 KiB, each byte escaped by JSON, and the rest. */
const maxLineBytes = 1024 * 1024;
const newline = 0x0a;

/** Writes the index: age(zstd frames(JSON lines)). One call at a time. */
export class IndexWriter {
  readonly #sealed: SealedFileWriter;
  readonly #frames: FrameWriter;

  private constructor(sealed: SealedFileWriter, frames: FrameWriter) {
    this.#sealed = sealed;
    this.#frames = frames;
  }

  static async create(
    file: FileWriter,
    recipients: readonly string[],
    pool: CompressPool,
    signal: AbortSignal,
  ): Promise<IndexWriter> {
    const sealed = await SealedFileWriter.create(file, recipients);
    const sink = (data: Buffer) => sealed.write(data);
    const frames = new FrameWriter({ pool, frameBytes: indexFrameBytes, compressionLevel: 3, sink, signal });
    return new IndexWriter(sealed, frames);
  }

  add(entry: IndexEntry): Promise<void> | undefined {
    return this.#frames.append(encodeIndexLine(entry));
  }

  /** Lines that are encoded already. */
  addLines(lines: Buffer): Promise<void> | undefined {
    return this.#frames.append(lines);
  }

  async finish(): Promise<StoredFile> {
    await this.#frames.finish();
    return this.#sealed.finish();
  }

  /** Waits until nothing is being written any more. Never throws. */
  settle(): Promise<void> {
    return this.#frames.settle();
  }
}

/** The entries of an index, in the order of the tar. Throws ARTIFACT_CORRUPT at the first damaged line. */
export async function* readIndex(frames: FrameReader, signal: AbortSignal): AsyncGenerator<IndexEntry, void, void> {
  let number = 0;
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of frames.range(0, frames.contentBytes, signal)) {
    const data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    let start = 0;
    for (let end = data.indexOf(newline); end >= 0; end = data.indexOf(newline, start)) {
      number += 1;
      const entry = decodeIndexLine(data.toString('utf8', start, end));
      if (entry === undefined) throw corrupt(`line ${number} is damaged`);
      yield entry;
      start = end + 1;
    }
    rest = data.subarray(start);
    if (rest.length > maxLineBytes) throw corrupt(`line ${number + 1} does not end`);
  }
  if (rest.length > 0) throw corrupt('the last line is cut off');
}

function corrupt(what: string): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail: `index: ${what}` });
}
