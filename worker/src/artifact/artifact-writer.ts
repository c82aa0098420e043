import { createHash, type Hash, hash } from 'node:crypto';
import { native, type PackedFrame, type PackedPiece } from '../native/binding.ts';
import { type PendingSnapshot, snapshotFiles } from '../storage/storage.ts';
import type { CompressPool } from './compress-pool.ts';
import type { EntryType, IndexEntry, Xattrs } from './entry.ts';
import { defaultFrameBytes, FrameWriter } from './frames.ts';
import { IndexWriter } from './index-file.ts';
import { SealedFileWriter, type StoredFile } from './sealed-file.ts';
import { encodeTarHeader, tarEndBytes, tarPaddingBytes } from './tar.ts';

/** What the writer must know of an entry; a SourceEntry is one. */
export interface EntryMeta {
  readonly path: Buffer;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly xattrs?: Xattrs;
  /** For the index alone. */
  readonly attributes?: Readonly<Record<string, string>>;
}

export interface ArtifactWriterOptions {
  readonly pending: PendingSnapshot;
  /** age recipients. */
  readonly recipients: readonly string[];
  /** zstd level. */
  readonly compressionLevel: number;
  readonly pool: CompressPool;
  readonly signal: AbortSignal;
}

export interface WrittenArtifact {
  readonly artifact: StoredFile;
  readonly index: StoredFile;
  readonly tarBytes: number;
  readonly frameBytes: number;
  readonly entryCount: number;
  /** Regular files, hard links not counted. */
  readonly fileCount: number;
  /** Sum of the regular files' sizes. */
  readonly sourceBytes: number;
}

/** A file whose frames come ready made. */
export interface PackedFile {
  readonly meta: EntryMeta;
  readonly sparseBytes: number | null;
  /** Comes before its content, in the first frame. */
  readonly header: Buffer;
  readonly tarOffset: number;
}

interface OpenFile {
  readonly meta: EntryMeta;
  readonly sparseBytes: number | null;
  readonly tarOffset: number;
  readonly dataOffset: number;
  readonly hash: Hash;
  writtenBytes: number;
}

/**
 * Writes artifact and index front to back, in flat memory. Each call must be awaited before the next. After an error,
 * or to give up, call `settle` and then abort the pending snapshot.
 */
export class ArtifactWriter {
  readonly #sealed: SealedFileWriter;
  readonly #frames: FrameWriter;
  readonly #index: IndexWriter;
  #open: OpenFile | undefined;
  #entryCount = 0;
  #fileCount = 0;
  #sourceBytes = 0;

  private constructor(sealed: SealedFileWriter, frames: FrameWriter, index: IndexWriter) {
    this.#sealed = sealed;
    this.#frames = frames;
    this.#index = index;
  }

  static async create(options: ArtifactWriterOptions): Promise<ArtifactWriter> {
    const { pending, recipients, compressionLevel, pool, signal } = options;
    // By it the payload can later be given another header without being read.
    const hashesPayload = pending.copyFile !== undefined;
    const artifact = await pending.createFile(snapshotFiles.artifact);
    const sealed = await SealedFileWriter.create(artifact, recipients, hashesPayload);
    const sink = (data: Buffer) => sealed.write(data);
    const frames = new FrameWriter({ pool, frameBytes: defaultFrameBytes, compressionLevel, sink, signal });
    const index = await IndexWriter.create(await pending.createFile(snapshotFiles.index), recipients, pool, signal);
    return new ArtifactWriter(sealed, frames, index);
  }

  addDirectory(meta: EntryMeta): Promise<void> {
    return this.#addEmpty(meta, 'directory', null);
  }

  addSymlink(meta: EntryMeta, target: Buffer): Promise<void> {
    return this.#addEmpty(meta, 'symlink', target);
  }

  /** `firstPath` is the path of the file entry that holds the content. */
  addHardlink(meta: EntryMeta, firstPath: Buffer): Promise<void> {
    return this.#addEmpty(meta, 'hardlink', firstPath);
  }

  /** A whole file; its size is that of `data`. */
  async addFile(meta: EntryMeta, data: Buffer, sha256?: Buffer): Promise<void> {
    const sized = { ...meta, sizeBytes: data.length };
    const { tarOffset, dataOffset } = await this.#header(sized, 'file', null);
    const wait = this.#frames.append(data);
    if (wait !== undefined) await wait;
    await this.#padBlock(data.length);
    const digest = sha256?.toString('hex') ?? hash('sha256', data);
    await this.#record({ ...fieldsOf(sized, 'file', null), ...whole, sha256: digest, tarOffset, dataOffset });
  }

  /** A frame that the source made itself, in `target`; `release` is called when that may be used again. */
  async addPacked(packed: PackedFrame, target: Buffer, release: () => void): Promise<void> {
    if (this.#open !== undefined) throw new Error('a file is open already');
    if (packed.contentBytes === 0) return release();
    const base = this.#frames.contentBytes;
    await this.#frames.insert(target.subarray(0, packed.storedBytes), packed.contentBytes, release);
    const wait = this.#index.addLines(native.encodeIndexLines(packed.records, packed.recordCount, base));
    if (wait !== undefined) await wait;
    this.#entryCount += packed.recordCount;
    this.#fileCount += packed.fileCount;
    this.#sourceBytes += packed.sourceBytes;
  }

  /** A file whose frames the source makes: its `fileHeader` belongs to the first one; pieces follow, then `endPacked`. */
  beginPacked(meta: EntryMeta, header: Buffer, sparseBytes?: number): PackedFile {
    if (this.#open !== undefined) throw new Error('a file is open already');
    return { meta, sparseBytes: sparseBytes ?? null, header, tarOffset: this.#frames.contentBytes };
  }

  /** The next frame, in `target`; `release` is called when that may be used again. */
  addPiece({ storedBytes, contentBytes }: PackedPiece, target: Buffer, release: () => void): Promise<void> {
    return this.#frames.insert(target.subarray(0, storedBytes), contentBytes, release);
  }

  endPacked(file: PackedFile, paddingBytes: number, sha256: Buffer): Promise<void> {
    const { meta, sparseBytes, tarOffset, header } = file;
    const place = { tarOffset, dataOffset: tarOffset + header.length, sha256: sha256.toString('hex') };
    return this.#record({ ...fieldsOf(meta, 'file', null), sparseBytes, paddingBytes, ...place });
  }

  /**
   * Begins a file of exactly `meta.sizeBytes`, or of `sparseBytes` of map and data of one with holes; `write` and then
   * `endFile` must follow.
   */
  async beginFile(meta: EntryMeta, sparseBytes?: number): Promise<void> {
    if (this.#open !== undefined) throw new Error('a file is open already');
    const place = await this.#header(meta, 'file', null, sparseBytes);
    this.#open = { meta, sparseBytes: sparseBytes ?? null, ...place, hash: createHash('sha256'), writtenBytes: 0 };
  }

  /** Throws when more comes than `beginFile` announced. */
  async write(chunk: Buffer): Promise<void> {
    const file = this.#openFile();
    file.writtenBytes += chunk.length;
    if (file.writtenBytes > announcedBytes(file)) throw new Error('more bytes than the header announced');
    file.hash.update(chunk);
    const wait = this.#frames.append(chunk);
    if (wait !== undefined) await wait;
  }

  /** Fills what is missing with zeros; resolves to how many. */
  async endFile(): Promise<number> {
    const file = this.#openFile();
    const { meta, sparseBytes, tarOffset, dataOffset } = file;
    const paddingBytes = announcedBytes(file) - file.writtenBytes;
    if (paddingBytes > 0) await this.#padFile(paddingBytes, file.hash);
    await this.#padBlock(announcedBytes(file));
    const sha256 = file.hash.digest('hex');
    await this.#record({ ...fieldsOf(meta, 'file', null), sparseBytes, paddingBytes, sha256, tarOffset, dataOffset });
    this.#open = undefined;
    return paddingBytes;
  }

  /** Writes both ends and flushes both files to the disk, the artifact first. */
  async finish(): Promise<WrittenArtifact> {
    if (this.#open !== undefined) throw new Error('a file is still open');
    await this.#frames.appendZeros(tarEndBytes);
    await this.#frames.finish();
    const artifact = await this.#sealed.finish();
    const index = await this.#index.finish();
    return {
      artifact,
      index,
      tarBytes: this.#frames.contentBytes,
      frameBytes: defaultFrameBytes,
      entryCount: this.#entryCount,
      fileCount: this.#fileCount,
      sourceBytes: this.#sourceBytes,
    };
  }

  /** Waits until nothing is being written any more, so that the files may be removed. Never throws. */
  async settle(): Promise<void> {
    await Promise.all([this.#frames.settle(), this.#index.settle()]);
  }

  async #addEmpty(meta: EntryMeta, type: Exclude<EntryType, 'file'>, linkTarget: Buffer | null): Promise<void> {
    const empty = { ...meta, sizeBytes: 0 };
    const { tarOffset, dataOffset } = await this.#header(empty, type, linkTarget);
    await this.#record({ ...fieldsOf(empty, type, linkTarget), ...whole, sha256: null, tarOffset, dataOffset });
  }

  async #header(meta: EntryMeta, type: EntryType, linkTarget: Buffer | null, sparseBytes?: number) {
    const header = tarHeaderOf(meta, type, linkTarget, sparseBytes);
    const tarOffset = this.#frames.contentBytes;
    const wait = this.#frames.append(header);
    if (wait !== undefined) await wait;
    return { tarOffset, dataOffset: tarOffset + header.length };
  }

  async #padBlock(sizeBytes: number): Promise<void> {
    const wait = this.#frames.append(zeroBlock.subarray(0, tarPaddingBytes(sizeBytes)));
    if (wait !== undefined) await wait;
  }

  async #padFile(paddingBytes: number, fileHash: Hash): Promise<void> {
    for (let left = paddingBytes; left > 0; left -= zeros.length) {
      const piece = left < zeros.length ? zeros.subarray(0, left) : zeros;
      fileHash.update(piece);
      const wait = this.#frames.append(piece);
      if (wait !== undefined) await wait;
    }
  }

  async #record(entry: Omit<IndexEntry, 'pack'>): Promise<void> {
    const wait = this.#index.add({ ...entry, pack: null });
    if (wait !== undefined) await wait;
    this.#entryCount += 1;
    if (entry.type !== 'file') return;
    this.#fileCount += 1;
    this.#sourceBytes += entry.sizeBytes;
  }

  #openFile(): OpenFile {
    if (this.#open === undefined) throw new Error('no file is open');
    return this.#open;
  }
}

/** What comes before a file's content in the tar. */
export function fileHeader(meta: EntryMeta, sparseBytes?: number): Buffer {
  return tarHeaderOf(meta, 'file', null, sparseBytes);
}

/** Of an entry that is stored as it is. */
const whole = { sparseBytes: null, paddingBytes: 0 };

function fieldsOf(meta: EntryMeta, type: EntryType, linkTarget: Buffer | null) {
  const { path, sizeBytes, mode, uid, gid, mtimeNs, xattrs, attributes } = meta;
  const kept = type === 'hardlink' || xattrs === undefined ? {} : { xattrs, xattrCount: xattrs.count };
  return { path, type, sizeBytes, mode, uid, gid, mtimeNs, linkTarget, ...kept, ...(attributes && { attributes }) };
}

function tarHeaderOf(meta: EntryMeta, type: EntryType, linkTarget: Buffer | null, sparseBytes?: number): Buffer {
  return encodeTarHeader({ ...fieldsOf(meta, type, linkTarget), sparseBytes: sparseBytes ?? null });
}

function announcedBytes({ meta, sparseBytes }: OpenFile): number {
  return sparseBytes ?? meta.sizeBytes;
}

const zeros = Buffer.alloc(64 * 1024);
const zeroBlock = zeros.subarray(0, 512);
