import { XVaultError } from '@xvault/shared/errors.ts';
import { copyPlan } from './part-sizes.ts';
import { isRefused, s3Failure } from './s3-errors.ts';
import type { S3Objects } from './s3-objects.ts';
import { snapshotKeyOf } from './s3-paths.ts';
import { S3FileReader } from './s3-reader.ts';
import {
  type FileCopy,
  type FileReader,
  type FileWriter,
  type PendingSnapshot,
  type SnapshotFileName,
  type SnapshotPlace,
  snapshotFiles,
} from './storage.ts';

/** An object that is written or copied. */
interface Making {
  readonly key: string;
  readonly done: boolean;
  discard(): Promise<void>;
}

/** Of a copy's end, which is where an object that is another one would differ. */
const comparedBytes = 64 * 1024;
/** Larger than any meta.json. */
const maxMetaBytes = 1024 * 1024;

/**
 * A snapshot being uploaded. The other files are put in their places as they are closed; meta.json, which makes it a snapshot,
 * is kept back until `commit` and never replaces one that is there.
 */
export class S3PendingSnapshot implements PendingSnapshot {
  readonly #objects: S3Objects;
  readonly #base: string;
  readonly #markerKey: string;
  readonly #uploads = new Map<string, Making>();
  #meta: MetaWriter | null = null;
  #state: 'open' | 'published' | 'aborted' | 'failed' | 'beaten' = 'open';

  constructor(objects: S3Objects, place: SnapshotPlace, markerKey: string) {
    this.#objects = objects;
    this.#base = snapshotKeyOf(place);
    this.#markerKey = markerKey;
  }

  async createFile(name: SnapshotFileName): Promise<FileWriter> {
    this.#demandOpen();
    if (name === snapshotFiles.meta) {
      this.#meta = new MetaWriter();
      return this.#meta;
    }
    const upload = this.#objects.upload(`${this.#base}/${name}`);
    this.#uploads.set(name, upload);
    return {
      write: (data) => upload.write(data),
      close: async () => {
        await upload.close();
      },
    };
  }

  async copyFile(name: SnapshotFileName, copy: FileCopy): Promise<boolean> {
    this.#demandOpen();
    const { head, source, from } = copy;
    const place = source instanceof S3FileReader ? source.copySource(this.#objects) : null;
    const plan = copyPlan(head.length, source.sizeBytes - from);
    if (place === null || plan === null) return false;
    const key = `${this.#base}/${name}`;
    const made = this.#objects.copy(key);
    this.#uploads.set(name, made);
    try {
      await made.run(copy, place, plan);
    } catch (error) {
      if (!isRefused(error)) throw error;
      await made.discard();
      return false;
    }
    await this.#checkEnd(key, source, head.length + source.sizeBytes - from);
    return true;
  }

  /** Not all servers look whether the object is still the one that is to be copied. */
  async #checkEnd(key: string, source: FileReader, sizeBytes: number): Promise<void> {
    const found = await this.#objects.head(key);
    const length = Math.min(comparedBytes, source.sizeBytes);
    const [end, wanted] = [
      found?.sizeBytes === sizeBytes ? await this.#objects.read(key, sizeBytes - length, length, found.etag) : null,
      await source.read(source.sizeBytes - length, length),
    ];
    if (!end?.equals(wanted)) throw new XVaultError('STORAGE_FAILED', { detail: `${key} is not what was copied` });
  }

  async commit(): Promise<void> {
    this.#demandOpen();
    for (const upload of this.#uploads.values()) {
      if (!upload.done) throw new XVaultError('STORAGE_FAILED', { detail: `${upload.key} is not closed` });
    }
    const meta = this.#meta?.content;
    if (meta === undefined) throw new XVaultError('STORAGE_FAILED', { detail: `${this.#base} has no meta.json` });
    this.#state = 'failed';
    await this.#publish(meta);
    this.#state = 'published';
    await this.#clearUp();
  }

  async abort(): Promise<void> {
    if (this.#state === 'published' || this.#state === 'aborted') return;
    const objects = this.#objects.detached();
    for (const upload of this.#uploads.values()) await upload.discard();
    if (this.#state !== 'beaten') {
      // First what would make the rest a snapshot: the answer to its upload may have been lost.
      if (this.#state === 'failed') await objects.delete([`${this.#base}/${snapshotFiles.meta}`]);
      await objects.delete([...this.#uploads.keys()].map((name) => `${this.#base}/${name}`));
      await objects.abortUploads(`${this.#base}/`);
    }
    await objects.delete([this.#markerKey]);
    this.#state = 'aborted';
  }

  async #publish(meta: Buffer): Promise<void> {
    const key = `${this.#base}/${snapshotFiles.meta}`;
    try {
      await this.#objects.put(key, [meta], { ifNoneMatch: '*', contentType: 'application/json' });
    } catch (error) {
      const failure = s3Failure(error instanceof XVaultError ? error.cause : error);
      if (failure === 'unsupported') return this.#publishUnconditionally(key, meta);
      if (failure !== 'condition') throw error;
      // Ours, if an answer was lost and the request was sent again.
      const found = await this.#objects.read(key, 0, maxMetaBytes);
      if (found.equals(meta)) return;
      this.#state = 'beaten';
      throw new XVaultError('STORAGE_FAILED', { detail: `${this.#base} is published already` });
    }
  }

  /** For servers without conditional requests; no other attempt has this snapshot's id. */
  async #publishUnconditionally(key: string, meta: Buffer): Promise<void> {
    if ((await this.#objects.head(key)) !== null) {
      this.#state = 'beaten';
      throw new XVaultError('STORAGE_FAILED', { detail: `${this.#base} is published already` });
    }
    await this.#objects.put(key, [meta], { contentType: 'application/json' });
  }

  /** The snapshot is there: what fails from now on is left to the sweeper. */
  async #clearUp(): Promise<void> {
    const objects = this.#objects.detached();
    await Promise.allSettled([objects.abortUploads(`${this.#base}/`).then(() => objects.delete([this.#markerKey]))]);
  }

  #demandOpen(): void {
    if (this.#state !== 'open') throw new XVaultError('STORAGE_FAILED', { detail: `${this.#base} is ${this.#state}` });
  }
}

class MetaWriter implements FileWriter {
  readonly #pieces: Buffer[] = [];
  #closed = false;

  /** Once it is closed. */
  get content(): Buffer | undefined {
    return this.#closed ? Buffer.concat(this.#pieces) : undefined;
  }

  async write(data: Buffer): Promise<void> {
    if (this.#closed) throw new XVaultError('STORAGE_FAILED', { detail: 'meta.json is closed' });
    this.#pieces.push(Buffer.from(data));
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
