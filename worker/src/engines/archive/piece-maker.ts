import { fileHeader } from '../../artifact/artifact-writer.ts';
import type { FilePieces, FileStream } from '../../connectors/connector.ts';
import type { Packer, PieceInTarget } from './backup-pack.ts';

/** Makes the frames of a large file, some ahead of the consumer. */
export class PieceMaker {
  /** Comes before the content, in the first frame. */
  readonly header: Buffer;
  readonly #packer: Packer;
  readonly #pieces: FilePieces;
  readonly #making: Promise<PieceInTarget>[] = [];
  #next = 0;

  constructor(packer: Packer, { entry, sparseBytes }: FileStream, pieces: FilePieces) {
    this.header = fileHeader(entry, sparseBytes);
    this.#packer = packer;
    this.#pieces = pieces;
  }

  /** So many at a time from now on, as far as there are any. */
  makeAhead(count: number): void {
    while (this.#making.length < count && this.#next < this.#pieces.count) {
      const made = this.#packer.packPiece(this.#pieces, this.#next, this.header);
      // Looked at in its turn; until then a failure must not count as unhandled.
      made.catch(() => undefined);
      this.#making.push(made);
      this.#next += 1;
    }
  }

  /** The next frame; undefined after the last. */
  take(): Promise<PieceInTarget> | undefined {
    return this.#making.shift();
  }

  /** SHA-256 of the content; when all frames are made. */
  digest(): Buffer {
    return this.#pieces.digest();
  }
}
