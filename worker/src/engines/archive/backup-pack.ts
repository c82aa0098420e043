import type { ArtifactWriter } from '../../artifact/artifact-writer.ts';
import type { CompressPool } from '../../artifact/compress-pool.ts';
import type { FilePieces, SkippedItem, SourceEntry, SourceSession } from '../../connectors/connector.ts';
import type { PackedPiece } from '../../native/binding.ts';
import type { BackupProgress } from './backup-progress.ts';
import { BatchItems } from './batch-items.ts';
import type { LinkNames } from './link-names.ts';
import { leftOut, notesOf, type PackedBatch, type PackNote } from './pack-batch.ts';

/** Most tar in one frame: what a batch is closed at, one more small file, and room for their headers. */
const frameBytes = 6 * 1024 * 1024;

export interface PackerOptions {
  readonly session: SourceSession;
  readonly pool: CompressPool;
  readonly compressionLevel: number;
  readonly signal: AbortSignal;
}

/** Has a source make frames by itself, in buffers of the pool. */
export class Packer {
  readonly #options: PackerOptions;

  constructor(options: PackerOptions) {
    this.#options = options;
  }

  /** What is left of a batch from one of its operations on. */
  async pack(batch: BatchItems, from: number): Promise<PackedBatch> {
    const { session, pool, compressionLevel, signal } = this.#options;
    if (session.pack === undefined) throw new Error('this source does not make frames');
    // Given back only when all went well: after an abort the frame may still be written to.
    const target = pool.borrowTarget(frameBytes);
    const frame = await session.pack(batch.operations(from), { target, frameBytes, compressionLevel }, signal);
    return { frame, target };
  }

  /** One frame of a large file. */
  async packPiece(pieces: FilePieces, at: number, header: Buffer): Promise<PieceInTarget> {
    const { pool, compressionLevel, signal } = this.#options;
    const target = pool.borrowTarget(frameBytes);
    const piece = await pieces.pack(at, header, { target, frameBytes, compressionLevel }, signal);
    return { piece, target };
  }

  /** How many frames are made at once. */
  get ahead(): number {
    return Math.max(this.#options.session.batchesInFlight, 1);
  }

  release({ target }: { readonly target: Buffer }): void {
    this.#options.pool.giveBackTarget(frameBytes, target);
  }
}

export interface PieceInTarget {
  readonly piece: PackedPiece;
  readonly target: Buffer;
}

export interface PackedCopyOptions {
  readonly packer: Packer;
  readonly writer: ArtifactWriter;
  readonly progress: BackupProgress;
  readonly firstNames: LinkNames;
  readonly onWarning: (item: SkippedItem) => void;
  /** Stores one entry that fits in no frame. */
  readonly addAlone: (entry: SourceEntry) => Promise<void>;
}

/** Stores batches in order, and does again what did not come out as it was planned. */
export class PackedCopy {
  readonly #options: PackedCopyOptions;

  constructor(options: PackedCopyOptions) {
    this.#options = options;
  }

  async add(planned: BatchItems, first: PackedBatch): Promise<void> {
    const { packer, addAlone } = this.#options;
    let batch = planned;
    let packed = first;
    for (let from = 0; ; packed = await packer.pack(batch, from)) {
      const { done } = packed.frame;
      const notes = notesOf(packed.frame);
      if (this.#linksHold(batch, from, done, notes)) {
        await this.#store(batch, from, packed, notes);
        from = done;
        if (done < batch.count && packed.frame.contentBytes === 0) {
          await addAlone(batch.at(done));
          from += 1;
        }
      } else {
        packer.release(packed);
        batch = this.#withoutLost(batch, from, notes);
        from = 0;
      }
      if (from === batch.count) return;
    }
  }

  /** Whether all that is stored as a hard link has its content in the tar. */
  #linksHold(batch: BatchItems, from: number, done: number, notes: readonly PackNote[]): boolean {
    const { linked } = batch;
    if (linked.length === 0) return true;
    const lost = leftOut(notes);
    const names = new Map<string, Buffer>();
    for (const { at, key, firstName } of linked) {
      if (at < from || at >= done) continue;
      if (firstName === undefined) {
        if (!lost.has(at)) names.set(key, batch.at(at).path);
      } else if (!(names.get(key) ?? this.#options.firstNames.get(key))?.equals(firstName)) return false;
    }
    return true;
  }

  /** The rest of the batch, links made anew; what was lost is told and left out. */
  #withoutLost(batch: BatchItems, from: number, notes: readonly PackNote[]): BatchItems {
    const { firstNames, progress, onWarning } = this.#options;
    const lost = leftOut(notes);
    for (const { at, item } of notes) {
      if (!lost.has(at)) continue;
      onWarning(item);
      progress.fileDone(batch.at(at));
    }
    const rest = new BatchItems();
    for (let at = from; at < batch.count; at += 1) if (!lost.has(at)) rest.add(batch.at(at), firstNames);
    return rest;
  }

  async #store(batch: BatchItems, from: number, packed: PackedBatch, notes: readonly PackNote[]): Promise<void> {
    const { packer, writer, progress, firstNames, onWarning } = this.#options;
    const { frame, target } = packed;
    await writer.addPacked(frame, target, () => packer.release(packed));
    for (const { item } of notes) onWarning(item);
    const lost = leftOut(notes);
    for (const { at, key, firstName } of batch.linked) {
      if (at < from || at >= frame.done || firstName !== undefined || lost.has(at)) continue;
      firstNames.set(key, batch.at(at).path);
    }
    const { count, bytes, last } = batch.files(from, frame.done);
    progress.filesDone(count, bytes, frame.sourceBytes, last === undefined ? undefined : batch.at(last).path);
  }
}
