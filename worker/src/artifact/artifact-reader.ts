import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import {
  type FileReader,
  type SnapshotFileName,
  type SnapshotPlace,
  type SnapshotStorage,
  snapshotFiles,
} from '../storage/storage.ts';
import { AgeReader } from './age-reader.ts';
import type { IndexEntry } from './entry.ts';
import { FrameReader } from './frame-reader.ts';
import { readIndex } from './index-file.ts';
import type { StoredFile } from './sealed-file.ts';

export interface OpenArtifactOptions {
  readonly storage: SnapshotStorage;
  readonly place: SnapshotPlace;
  /** age identities (`AGE-SECRET-KEY-…`). */
  readonly identities: readonly string[];
  /** What the catalogue says the files' sizes are: tells a file that was cut off from one that is damaged. */
  readonly expected?: { readonly artifactBytes: number; readonly indexBytes: number };
}

const hashReadBytes = 1024 * 1024;

/** The index alone, for those who only want to know what there is. */
export interface OpenIndex {
  readonly frames: FrameReader;
  close(): Promise<void>;
}

/** Opens a snapshot's index. Throws as {@link openArtifact}. */
export async function openIndex({ storage, place, identities, expected }: OpenArtifactOptions): Promise<OpenIndex> {
  const file = await storage.open(place, snapshotFiles.index);
  try {
    checkSize(file.sizeBytes, expected?.indexBytes, snapshotFiles.index);
    return { frames: await openFrames(file, identities), close: () => file.close() };
  } catch (error) {
    await Promise.allSettled([file.close()]);
    throw error;
  }
}

/** The seekable zstd stream in an encrypted file. */
async function openFrames(file: FileReader, identities: readonly string[]): Promise<FrameReader> {
  const age = await AgeReader.open(file, identities);
  return FrameReader.open(age.sizeBytes, (offset, length) => age.read(offset, length));
}

/**
 * Opens a snapshot for reading. Throws ARTIFACT_MISSING, ARTIFACT_TRUNCATED, ARTIFACT_CORRUPT, IDENTITY_MISMATCH.
 */
export async function openArtifact(options: OpenArtifactOptions): Promise<ArtifactReader> {
  const { storage, place, identities, expected } = options;
  const files: CountedFile[] = [];
  const open = async (name: SnapshotFileName, expectedBytes: number | undefined) => {
    const file = new CountedFile(await storage.open(place, name));
    files.push(file);
    checkSize(file.sizeBytes, expectedBytes, name);
    return openFrames(file, identities);
  };
  try {
    const tar = await open(snapshotFiles.artifact, expected?.artifactBytes);
    const index = await open(snapshotFiles.index, expected?.indexBytes);
    return new ArtifactReader(storage, place, files, tar, index);
  } catch (error) {
    await Promise.allSettled(files.map((file) => file.close()));
    throw error;
  }
}

/** A snapshot that is open for reading. Reads may run side by side. */
export class ArtifactReader {
  readonly #storage: SnapshotStorage;
  readonly #place: SnapshotPlace;
  readonly #files: readonly CountedFile[];
  readonly #tar: FrameReader;
  readonly #index: FrameReader;
  #hashedBytes = 0;

  constructor(
    storage: SnapshotStorage,
    place: SnapshotPlace,
    files: readonly CountedFile[],
    tar: FrameReader,
    index: FrameReader,
  ) {
    this.#storage = storage;
    this.#place = place;
    this.#files = files;
    this.#tar = tar;
    this.#index = index;
  }

  /** Size of the tar stream. */
  get tarBytes(): number {
    return this.#tar.contentBytes;
  }

  /** zstd frames of the tar stream. */
  get frameCount(): number {
    return this.#tar.frameCount;
  }

  /** Stored bytes that were read so far, of artifact and index. */
  get bytesRead(): number {
    return this.#files.reduce((sum, file) => sum + file.bytesRead, this.#hashedBytes);
  }

  /** All entries in the order of the tar, in flat memory. */
  entries(signal: AbortSignal): AsyncIterable<IndexEntry> {
    return readIndex(this.#index, signal);
  }

  /**
   * A range of the tar stream; reads only the frames that hold it. The buffers are shared with other reads: they must
   * not be changed.
   */
  readTar(offset: number, length: number, signal: AbortSignal): AsyncIterable<Buffer> {
    return this.#tar.range(offset, length, signal);
  }

  /** Size and SHA-256 of a file as it is stored, read from front to back. */
  async hashFile(name: SnapshotFileName, signal: AbortSignal): Promise<StoredFile> {
    const file = await this.#storage.open(this.#place, name);
    try {
      const hash = createHash('sha256');
      for (let offset = 0; offset < file.sizeBytes; offset += hashReadBytes) {
        signal.throwIfAborted();
        const data = await file.read(offset, Math.min(hashReadBytes, file.sizeBytes - offset));
        hash.update(data);
        this.#hashedBytes += data.length;
      }
      return { sizeBytes: file.sizeBytes, sha256: hash.digest('hex') };
    } finally {
      await file.close();
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#files.map((file) => file.close()));
  }
}

/** Counts what is read of a file. */
class CountedFile implements FileReader {
  readonly #file: FileReader;
  bytesRead = 0;

  constructor(file: FileReader) {
    this.#file = file;
  }

  get sizeBytes(): number {
    return this.#file.sizeBytes;
  }

  async read(offset: number, length: number): Promise<Buffer> {
    const data = await this.#file.read(offset, length);
    this.bytesRead += data.length;
    return data;
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

function checkSize(actual: number, expected: number | undefined, name: string): void {
  if (expected === undefined || actual === expected) return;
  const detail = `${name} has ${actual} bytes, not ${expected}`;
  throw new XVaultError(actual < expected ? 'ARTIFACT_TRUNCATED' : 'ARTIFACT_CORRUPT', { detail });
}
