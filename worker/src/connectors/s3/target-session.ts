import { HeadObjectCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { s3Failure, s3SourceError } from '../../storage/s3-errors.ts';
import { S3Upload } from '../../storage/s3-upload.ts';
import type { SourceEntry } from '../connector.ts';
import { TargetItemError, type TargetSession, type TargetStat } from '../target.ts';
import { asking, type Bucket } from './bucket.ts';
import { pathToKey } from './keys.ts';
import { metadataOf, withMetadata } from './metadata.ts';

const noSettings = { storageClass: null, serverSideEncryption: 'none', kmsKeyId: null } as const;
const directoryMetadata = { mode: '0755' };

/** Objects that files are restored to: each is there whole or not at all. */
export class S3Target implements TargetSession {
  /** Mode and mtime are kept beside the object, for a later backup of it. */
  readonly abilities = { symlinks: false, modes: true, mtimes: true };
  readonly writesInFlight = 8;
  readonly #bucket: Bucket;
  readonly #signal: AbortSignal;

  constructor(bucket: Bucket, signal: AbortSignal) {
    this.#bucket = bucket;
    this.#signal = signal;
  }

  async stat(path: Buffer): Promise<TargetStat | null> {
    const { client, bucket } = this.#bucket.connection;
    const isRoot = path.equals(Buffer.from('.'));
    const key = isRoot ? this.#bucket.prefix : this.#keyOf(path);
    if (!isRoot) {
      try {
        const found = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }), this.#stoppable);
        const modified = BigInt(found.LastModified?.getTime() ?? 0) * 1_000_000n;
        const bare: SourceEntry = { path, type: 'file', sizeBytes: 0, mode: 0, uid: 0, gid: 0, mtimeNs: modified };
        const { mtimeNs } = withMetadata(bare, found.Metadata);
        return { type: 'file', sizeBytes: found.ContentLength ?? 0, mtimeNs };
      } catch (cause) {
        if (s3Failure(cause) !== 'no_key') throw s3SourceError(cause, 'looking at an object', this.#signal);
      }
    }
    const Prefix = isRoot || key === '' ? key : `${key}/`;
    const command = new ListObjectsV2Command({ Bucket: bucket, Prefix, MaxKeys: 1 });
    const page = await asking('listing the bucket', this.#signal, () => client.send(command, this.#stoppable));
    const isThere = (page.Contents?.length ?? 0) > 0;
    return isThere ? { type: 'directory', sizeBytes: 0, mtimeNs: null } : null;
  }

  /** Only what holds nothing needs an object of its own, which is made by `finishDirectory`. */
  async makeDirectory(path: Buffer): Promise<void> {
    if (!path.equals(Buffer.from('.'))) this.#keyOf(path);
  }

  async writeFile(entry: SourceEntry, content: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
    const upload = this.#upload(this.#keyOf(entry.path), metadataOf(entry), signal);
    try {
      for await (const chunk of content) await upload.write(chunk);
      await upload.close();
    } catch (error) {
      await Promise.allSettled([upload.discard()]);
      throw error;
    }
  }

  async makeSymlink(entry: SourceEntry): Promise<void> {
    throw new TargetItemError(`${entry.path}: buckets have no symlinks`);
  }

  async finishDirectory(entry: SourceEntry): Promise<void> {
    if (entry.path.equals(Buffer.from('.'))) return;
    if ((await this.stat(entry.path)) !== null) return;
    await this.#upload(`${this.#keyOf(entry.path)}/`, directoryMetadata, this.#signal).close();
  }

  async close(): Promise<void> {
    this.#bucket.connection.close();
  }

  #upload(key: string, metadata: Record<string, string>, signal: AbortSignal): S3Upload {
    const { connection } = this.#bucket;
    return new S3Upload({ connection, key, metadata, settings: noSettings, signal, toError: s3SourceError });
  }

  #keyOf(path: Buffer): string {
    const key = pathToKey(path);
    if (key === undefined) throw new TargetItemError('keys are UTF-8, and this name is not');
    if (Buffer.byteLength(this.#bucket.prefix + key) > 1024) throw new TargetItemError('keys have at most 1,024 bytes');
    return `${this.#bucket.prefix}${key}`;
  }

  get #stoppable() {
    return { abortSignal: this.#signal };
  }
}
