import type { ArtifactWriter } from '../../artifact/artifact-writer.ts';
import {
  type FileStream,
  type ItemCode,
  isSkipped,
  type ReadResult,
  type SkippedItem,
  type SourceEntry,
  type SourceSession,
} from '../../connectors/connector.ts';
import { PackedCopy, type Packer } from './backup-pack.ts';
import { copyPieces } from './backup-pieces.ts';
import type { BackupProgress } from './backup-progress.ts';
import type { SourceItem } from './backup-source.ts';
import { BegunFile } from './begun-file.ts';
import { LinkNames } from './link-names.ts';
import type { PackItem } from './pack-source.ts';
import type { PieceMaker } from './piece-maker.ts';

export interface BackupCopyOptions {
  readonly session: SourceSession;
  readonly packer: Packer;
  readonly writer: ArtifactWriter;
  readonly progress: BackupProgress;
  readonly onWarning: (item: SkippedItem) => void;
  readonly signal: AbortSignal;
}

/** Writes what was found to the artifact, item by item. */
export class BackupCopy {
  readonly #options: BackupCopyOptions;
  /** Path of the entry that holds the content, by the file's hard link key. */
  readonly #firstNames = new LinkNames();
  readonly #packed: PackedCopy;
  #warningCount = 0;

  constructor(options: BackupCopyOptions) {
    this.#options = options;
    const { packer, writer, progress } = options;
    const onWarning = (item: SkippedItem) => this.#warn(item);
    const addAlone = (entry: SourceEntry) => this.#addLarge(entry);
    this.#packed = new PackedCopy({ packer, writer, progress, firstNames: this.#firstNames, onWarning, addAlone });
  }

  get warningCount(): number {
    return this.#warningCount;
  }

  /** Nothing can be added afterwards. */
  close(): void {
    this.#firstNames.close();
  }

  async add(items: readonly (SourceItem | PackItem)[]): Promise<void> {
    const { progress } = this.#options;
    for (const item of items) {
      if (item.kind === 'skipped') this.#warn(item.skipped);
      else if (item.kind === 'packed') await this.#packed.add(item.batch, item.packed);
      else if (item.kind === 'small') await this.#addRead(item.entry, item.result);
      else await this.#addEntry(item.entry, 'begun' in item ? item.begun : undefined);
    }
    progress.report();
  }

  /** `begun` is closed by whoever began it. */
  async #addEntry(entry: SourceEntry, begun?: BegunFile): Promise<void> {
    const { writer } = this.#options;
    switch (entry.type) {
      case 'directory':
        return writer.addDirectory(entry);
      case 'symlink':
        return this.#addSymlink(entry);
      case 'file':
        return this.#addFile(entry, begun);
    }
  }

  async #addSymlink(entry: SourceEntry): Promise<void> {
    if (entry.linkTarget === undefined) {
      this.#warn({ path: entry.path, skipped: 'ITEM_UNREADABLE', detail: 'the source gave no link target' });
      return;
    }
    await this.#options.writer.addSymlink(entry, entry.linkTarget);
  }

  async #addFile(entry: SourceEntry, begun?: BegunFile): Promise<void> {
    const { session, writer, progress, signal } = this.#options;
    const firstName = entry.hardLinkKey === undefined ? undefined : this.#firstNames.get(entry.hardLinkKey);
    if (firstName !== undefined) {
      await writer.addHardlink(entry, firstName);
      progress.fileDone(entry);
      return;
    }
    if (begun !== undefined) return this.#storeLarge(entry, begun);
    if (entry.sizeBytes > session.smallFileBytes) return this.#addLarge(entry);
    // A later name of a file whose first name could not be read.
    const [result] = await session.readMany([entry], signal);
    if (result === undefined) throw new Error('a source returned too few results');
    await this.#addRead(entry, result);
  }

  async #addRead(entry: SourceEntry, result: ReadResult): Promise<void> {
    const { writer, progress } = this.#options;
    progress.fileBegins(entry);
    if (!result.ok) {
      this.#warn(result.skipped);
      progress.fileDone(entry);
      return;
    }
    await writer.addFile(result.entry, result.data, result.sha256);
    this.#rememberName(entry);
    if (result.changed) this.#warnChanged(entry, 'size or time changed while it was read');
    if (result.remark !== undefined) this.#warn(result.remark);
    progress.bytes(result.data.length);
    progress.fileDone(entry);
  }

  async #addLarge(entry: SourceEntry): Promise<void> {
    const file = new BegunFile(entry, this.#options);
    try {
      await this.#storeLarge(entry, file);
    } finally {
      await file.close();
    }
  }

  async #storeLarge(entry: SourceEntry, file: BegunFile): Promise<void> {
    const { progress } = this.#options;
    progress.fileBegins(entry);
    progress.report();
    const stream = await file.opened;
    if (isSkipped(stream)) {
      this.#warn(stream);
      progress.fileDone(entry);
      return;
    }
    if (stream.whole !== undefined) await this.#storeWhole(stream.entry, stream.whole);
    else if (file.pieces === undefined) await this.#copyStream(entry, stream);
    else await this.#copyPieces(entry, stream, file.pieces);
    if (stream.remark !== undefined) this.#warn(stream.remark);
    this.#rememberName(entry);
    progress.fileDone(entry);
  }

  async #storeWhole(entry: SourceEntry, { data, sha256 }: NonNullable<FileStream['whole']>): Promise<void> {
    const { writer, progress } = this.#options;
    await writer.addFile(entry, data, sha256);
    progress.bytes(data.length);
    progress.report();
  }

  async #copyPieces(entry: SourceEntry, stream: FileStream, pieces: PieceMaker): Promise<void> {
    const paddingBytes = await copyPieces(stream, pieces, this.#options);
    this.#warnIfChanged(entry, paddingBytes, await stream.changed());
  }

  async #copyStream(entry: SourceEntry, stream: FileStream): Promise<void> {
    const { writer, progress, signal } = this.#options;
    let left = stream.sparseBytes ?? stream.entry.sizeBytes;
    let cut = false;
    await writer.beginFile(stream.entry, stream.sparseBytes);
    for await (const chunk of stream.chunks) {
      signal.throwIfAborted();
      // The header has announced the size: what a file grew by is left out.
      const piece = chunk.length > left ? chunk.subarray(0, left) : chunk;
      cut ||= piece.length < chunk.length;
      left -= piece.length;
      await writer.write(piece);
      progress.bytes(piece.length);
      progress.report();
      if (cut) break;
    }
    signal.throwIfAborted();
    const paddingBytes = await writer.endFile();
    this.#warnIfChanged(entry, paddingBytes, (await stream.changed()) || cut);
  }

  #warnIfChanged(entry: SourceEntry, paddingBytes: number, changed: boolean): void {
    if (paddingBytes > 0) this.#warnChanged(entry, `it shrank: ${paddingBytes} bytes of zeros stand for the rest`);
    else if (changed) this.#warnChanged(entry, 'size or time changed while it was read');
  }

  #rememberName(entry: SourceEntry): void {
    if (entry.hardLinkKey !== undefined) this.#firstNames.set(entry.hardLinkKey, entry.path);
  }

  #warnChanged(entry: SourceEntry, detail: string): void {
    const code: ItemCode = 'ITEM_CHANGED';
    this.#warn({ path: entry.path, skipped: code, detail });
  }

  #warn(item: SkippedItem): void {
    this.#warningCount += 1;
    this.#options.onWarning(item);
  }
}
