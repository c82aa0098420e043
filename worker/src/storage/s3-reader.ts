import { XVaultError } from '@xvault/shared/errors.ts';
import type { S3Objects, StoredObject } from './s3-objects.ts';
import type { FileReader } from './storage.ts';

/** Reads that follow each other so often are taken for a walk through the whole object. */
const walkingAfter = 3;
/** Asked for at a time while walking; the next one is on its way while one is used. */
const blockBytes = 8 * 1024 * 1024;

/** Every reader begins with the header at the front and the table at the end: both are fetched at once, with the opening. */
const frontBytes = 32 * 1024;
const endBytes = 128 * 1024;

interface Block {
  readonly offset: number;
  readonly length: number;
  readonly data: Promise<Buffer>;
}

/**
 * An object read by ranges; all of them are of the object that was there when it was opened. Who reads from front to back in
 * small pieces does not wait for each.
 */
export class S3FileReader implements FileReader {
  readonly sizeBytes: number;
  readonly #objects: S3Objects;
  readonly #found: StoredObject;
  #expectedOffset = 0;
  #inOrder = 0;
  #blocks: Block[] = [];
  readonly #edges: readonly Block[];

  constructor(objects: S3Objects, found: StoredObject) {
    this.sizeBytes = found.sizeBytes;
    this.#objects = objects;
    this.#found = found;
    const end = Math.max(this.sizeBytes - endBytes, 0);
    this.#edges =
      end <= frontBytes
        ? [this.#block(0, this.sizeBytes)]
        : [this.#block(0, frontBytes), this.#block(end, this.sizeBytes - end)];
  }

  async read(offset: number, length: number): Promise<Buffer> {
    // Checked before memory is taken: a damaged length must not allocate gigabytes.
    if (offset < 0 || length < 0 || offset + length > this.sizeBytes) throw this.#truncated(offset, length);
    const edge = await this.#fromEdges(offset, length);
    if (edge !== null) return edge;
    this.#inOrder = offset === this.#expectedOffset ? this.#inOrder + 1 : 0;
    this.#expectedOffset = offset + length;
    const isWalk = this.#inOrder >= walkingAfter && length < blockBytes / 2;
    const data = isWalk ? await this.#readAhead(offset, length) : await this.#fetch(offset, length);
    if (data.length !== length) throw this.#truncated(offset, length);
    return data;
  }

  /** What is read, for a server that copies from it; null where that is not among `objects`. */
  copySource({ connection }: S3Objects): { readonly key: string; readonly etag: string | null } | null {
    if (this.#objects.connection !== connection) return null;
    return { key: this.#objects.fullKey(this.#found.key), etag: this.#found.etag };
  }

  async close(): Promise<void> {
    const blocks = [...this.#blocks, ...this.#edges];
    this.#blocks = [];
    await Promise.allSettled(blocks.map(({ data }) => data));
  }

  async #readAhead(offset: number, length: number): Promise<Buffer> {
    this.#blocks = this.#blocks.filter(
      (block) => block.offset + block.length > offset && block.offset <= offset + length,
    );
    const pieces: Buffer[] = [];
    for (let at = offset; at < offset + length; ) {
      const block = this.#blockAt(at);
      const data = await block.data;
      const piece = data.subarray(
        at - block.offset,
        Math.min(offset + length, block.offset + block.length) - block.offset,
      );
      if (piece.length === 0) break;
      pieces.push(piece);
      at += piece.length;
    }
    const next = offset + length;
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#blocks.length < 2 && last.offset + last.length < this.sizeBytes) {
      this.#blockAt(Math.max(next, last.offset + last.length));
    }
    const [first = Buffer.alloc(0)] = pieces;
    return pieces.length === 1 ? first : Buffer.concat(pieces);
  }

  #blockAt(offset: number): Block {
    const known = this.#blocks.find((block) => block.offset <= offset && offset < block.offset + block.length);
    if (known !== undefined) return known;
    const block = this.#block(offset, Math.min(blockBytes, this.sizeBytes - offset));
    this.#blocks.push(block);
    return block;
  }

  #block(offset: number, length: number): Block {
    const data = this.#fetch(offset, length);
    // Its failure is thrown when its turn comes; a failed block is not kept.
    data.catch(() => {
      this.#blocks = this.#blocks.filter((each) => each.data !== data);
    });
    return { offset, length, data };
  }

  async #fromEdges(offset: number, length: number): Promise<Buffer | null> {
    const edge = this.#edges.find((each) => each.offset <= offset && offset + length <= each.offset + each.length);
    if (edge === undefined) return null;
    try {
      const data = await edge.data;
      // A copy: the next one to ask gets the same bytes.
      return Buffer.from(data.subarray(offset - edge.offset, offset - edge.offset + length));
    } catch {
      return null;
    }
  }

  #fetch(offset: number, length: number): Promise<Buffer> {
    return this.#objects.read(this.#found.key, offset, length, this.#found.etag);
  }

  #truncated(offset: number, length: number): XVaultError {
    const detail = `${this.#found.key} has ${this.sizeBytes} bytes, wanted ${length} from ${offset}`;
    return new XVaultError('ARTIFACT_TRUNCATED', { detail });
  }
}
