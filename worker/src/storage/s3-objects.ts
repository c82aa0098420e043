import type { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { S3Connection } from './s3-client.ts';
import { S3Copy } from './s3-copy.ts';
import { s3Failure, s3StorageError } from './s3-errors.ts';
import type { S3ObjectSettings } from './s3-multipart.ts';
import { readS3Range } from './s3-read.ts';
import { S3Upload, type S3UploadOptions, type UploadedObject } from './s3-upload.ts';

export interface StoredObject {
  /** Without the destination's own prefix. */
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string | null;
  readonly modified: Date | null;
}

export interface PresignOptions {
  readonly expiresInSeconds: number;
  /** What the browser is told to call the file. */
  readonly fileName: string;
  readonly contentType?: string;
}

type UploadSettings = Pick<S3UploadOptions, 'contentType' | 'metadata' | 'ifNoneMatch'>;

const deleteBatch = 1000;
const noSettings: S3ObjectSettings = { storageClass: null, serverSideEncryption: 'none', kmsKeyId: null };

export interface S3ObjectsOptions {
  readonly prefix: string;
  readonly settings?: S3ObjectSettings;
  /** Ends requests with its reason. */
  readonly signal: AbortSignal;
  readonly partRetryPausesMs?: readonly number[];
}

/**
 * Objects below the prefix of one destination. Keys are relative to that prefix. Throws XVaultError STORAGE_…, ARTIFACT_MISSING
 * for an object that is not there, or the signal's reason.
 */
export class S3Objects {
  readonly connection: S3Connection;
  /** Empty, or ends with a slash. */
  readonly prefix: string;
  readonly #settings: S3ObjectSettings;
  readonly #signal: AbortSignal;
  readonly #retries: Pick<S3ObjectsOptions, 'partRetryPausesMs'>;
  #bytesRead = 0;

  constructor(connection: S3Connection, options: S3ObjectsOptions) {
    this.connection = connection;
    this.prefix = options.prefix === '' || options.prefix.endsWith('/') ? options.prefix : `${options.prefix}/`;
    this.#settings = options.settings ?? noSettings;
    this.#signal = options.signal;
    const { partRetryPausesMs } = options;
    this.#retries = partRetryPausesMs === undefined ? {} : { partRetryPausesMs };
  }

  /** Bytes of objects that were fetched by `read`. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** The same objects, for requests that must be made although the run was stopped: clearing up. */
  detached(): S3Objects {
    const settings = this.#settings;
    return new S3Objects(this.connection, { prefix: this.prefix, settings, signal: new AbortController().signal });
  }

  /** Key in the bucket. */
  fullKey(key: string): string {
    return `${this.prefix}${key}`;
  }

  /** An object to be written front to back. */
  upload(key: string, settings: UploadSettings = {}): S3Upload {
    return new S3Upload({
      connection: this.connection,
      key: this.fullKey(key),
      settings: this.#settings,
      ...settings,
      ...this.#retries,
      signal: this.#signal,
      toError: s3StorageError,
    });
  }

  /** An object to be made of another one. */
  copy(key: string): S3Copy {
    return new S3Copy({
      connection: this.connection,
      key: this.fullKey(key),
      settings: this.#settings,
      ...this.#retries,
      signal: this.#signal,
      toError: s3StorageError,
    });
  }

  /** Writes a stream of any length; an object is there only when it came to its end. */
  async put(
    key: string,
    content: AsyncIterable<Buffer> | Iterable<Buffer>,
    settings: UploadSettings = {},
  ): Promise<UploadedObject> {
    const upload = this.upload(key, settings);
    try {
      for await (const chunk of content) await upload.write(chunk);
      return await upload.close();
    } catch (error) {
      await Promise.allSettled([upload.discard()]);
      throw error;
    }
  }

  /** Null when it is not there. */
  async head(key: string): Promise<StoredObject | null> {
    const target = { Bucket: this.connection.bucket, Key: this.fullKey(key) };
    try {
      const found = await this.connection.client.send(new HeadObjectCommand(target), this.#stoppable);
      const { ContentLength = 0, ETag = null, LastModified = null } = found;
      return { key, sizeBytes: ContentLength, etag: ETag, modified: LastModified };
    } catch (cause) {
      const failure = s3Failure(cause);
      if (failure !== 'no_key' && failure !== 'permission') throw this.#error(cause, `cannot look at ${key}`);
    }
    // The answer to HEAD has no body, so that it cannot say whether it is the key, the bucket or the permission.
    for await (const found of this.list(key)) return found.key === key ? found : null;
    return null;
  }

  /** Exactly what is there of the range. */
  async read(key: string, offset: number, length: number, etag: string | null = null): Promise<Buffer> {
    if (length === 0) return Buffer.alloc(0);
    try {
      const range = { key: this.fullKey(key), offset, length, etag };
      const data = await readS3Range(this.connection, range, this.#signal);
      this.#bytesRead += data.length;
      return data;
    } catch (cause) {
      throw this.#error(cause, `cannot read ${key}`);
    }
  }

  /** All of an object as it comes. */
  async get(key: string): Promise<Readable> {
    try {
      const command = new GetObjectCommand({ Bucket: this.connection.bucket, Key: this.fullKey(key) });
      return (await this.connection.client.send(command, this.#stoppable)).Body as Readable;
    } catch (cause) {
      throw this.#error(cause, `cannot read ${key}`);
    }
  }

  /** Everything below a key prefix, in the order of its keys. */
  async *list(keyPrefix: string): AsyncGenerator<StoredObject> {
    let token: string | undefined;
    do {
      const command = new ListObjectsV2Command({
        Bucket: this.connection.bucket,
        Prefix: this.fullKey(keyPrefix),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      });
      const page = await this.#attempt(() => this.connection.client.send(command, this.#stoppable), 'cannot list');
      for (const { Key = '', Size = 0, ETag = null, LastModified = null } of page.Contents ?? []) {
        yield { key: Key.slice(this.prefix.length), sizeBytes: Size, etag: ETag, modified: LastModified };
      }
      token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    } while (token !== undefined);
  }

  /** What is not there counts as deleted. */
  async delete(keys: readonly string[]): Promise<void> {
    for (let at = 0; at < keys.length; at += deleteBatch) {
      await this.#attempt(() => this.#deleteBatch(keys.slice(at, at + deleteBatch)), 'cannot delete');
    }
  }

  /** Ends uploads that were begun below a key prefix, by whomever; with a time only those that are known to be older. */
  async abortUploads(keyPrefix: string, begunBefore?: Date): Promise<number> {
    let count = 0;
    for (const { Key, UploadId, Initiated } of await this.#uploads(keyPrefix)) {
      if (begunBefore !== undefined && (Initiated === undefined || Initiated >= begunBefore)) continue;
      const command = new AbortMultipartUploadCommand({ Bucket: this.connection.bucket, Key, UploadId });
      try {
        await this.connection.client.send(command, this.#stoppable);
        count += 1;
      } catch (cause) {
        if (s3Failure(cause) !== 'no_upload') throw this.#error(cause, 'cannot abort an upload');
      }
    }
    return count;
  }

  /** A link by which anybody can fetch the object for a while, ranges included. */
  async presign(key: string, options: PresignOptions): Promise<string> {
    const command = new GetObjectCommand({
      Bucket: this.connection.bucket,
      Key: this.fullKey(key),
      ResponseContentDisposition: `attachment; filename="${options.fileName.replaceAll(/[^A-Za-z0-9._-]/g, '_')}"`,
      ResponseContentType: options.contentType ?? 'application/octet-stream',
    });
    return getSignedUrl(this.connection.client, command, { expiresIn: options.expiresInSeconds });
  }

  async #uploads(keyPrefix: string): Promise<{ Key: string; UploadId: string; Initiated: Date | undefined }[]> {
    const found: { Key: string; UploadId: string; Initiated: Date | undefined }[] = [];
    let marker: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {};
    while (marker !== undefined) {
      const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({
        Bucket: this.connection.bucket,
        Prefix: this.fullKey(keyPrefix),
        ...marker,
      });
      const page = await this.#attempt(() => this.connection.client.send(command, this.#stoppable), 'cannot list');
      for (const { Key, UploadId, Initiated } of page.Uploads ?? []) {
        if (Key && UploadId) found.push({ Key, UploadId, Initiated });
      }
      const more = page.IsTruncated === true && page.NextKeyMarker !== undefined;
      marker = more
        ? { KeyMarker: page.NextKeyMarker ?? '', UploadIdMarker: page.NextUploadIdMarker ?? '' }
        : undefined;
    }
    return found;
  }

  async #deleteBatch(keys: readonly string[]): Promise<void> {
    const Bucket = this.connection.bucket;
    const Objects = keys.map((key) => ({ Key: this.fullKey(key) }));
    if (keys.length > 1) {
      const { Errors = [] } = await this.connection.client.send(
        new DeleteObjectsCommand({ Bucket, Delete: { Objects, Quiet: true } }),
        this.#stoppable,
      );
      const [first] = Errors.filter(({ Code }) => Code !== 'NoSuchKey');
      if (first !== undefined) throw Object.assign(new Error(first.Message), { name: first.Code ?? 'Error' });
      return;
    }
    for (const { Key } of Objects) {
      await this.connection.client.send(new DeleteObjectCommand({ Bucket, Key }), this.#stoppable);
    }
  }

  get #stoppable() {
    return { abortSignal: this.#signal };
  }

  async #attempt<T>(request: () => Promise<T>, what: string): Promise<T> {
    try {
      return await request();
    } catch (cause) {
      throw this.#error(cause, what);
    }
  }

  #error(cause: unknown, what: string): unknown {
    return s3StorageError(cause, what, this.#signal);
  }
}
