import {
  type FileStream,
  isSkipped,
  type SkippedItem,
  type SourceEntry,
  type SourceSession,
} from '../../connectors/connector.ts';
import type { Packer } from './backup-pack.ts';
import { PieceMaker } from './piece-maker.ts';

export interface BegunFileOptions {
  readonly session: SourceSession;
  readonly packer: Packer;
  readonly signal: AbortSignal;
}

/** A large file being opened, and its first frame made, before its turn has come. */
export class BegunFile {
  readonly #opened: Promise<FileStream | SkippedItem>;
  #pieces: PieceMaker | undefined;

  constructor(entry: SourceEntry, { session, packer, signal }: BegunFileOptions) {
    this.#opened = session.open(entry, signal).then((stream) => {
      if (isSkipped(stream) || stream.whole !== undefined || stream.pieces === undefined) return stream;
      this.#pieces = new PieceMaker(packer, stream, stream.pieces);
      this.#pieces.makeAhead(1);
      return stream;
    });
    // Looked at in its turn; until then a failure must not count as unhandled.
    this.#opened.catch(() => undefined);
  }

  /** Throws what opening throws. */
  get opened(): Promise<FileStream | SkippedItem> {
    return this.#opened;
  }

  /** Once opened; undefined for a file that is read as a stream. */
  get pieces(): PieceMaker | undefined {
    return this.#pieces;
  }

  /** Never throws for what opening threw. */
  async close(): Promise<void> {
    const [end] = await Promise.allSettled([this.#opened]);
    if (end.status === 'fulfilled' && !isSkipped(end.value)) await end.value.close();
  }
}
