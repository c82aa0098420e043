import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { S3Connection } from './s3-client.ts';
import { isPassing, s3Failure } from './s3-errors.ts';
import { signed } from './s3-signed-body.ts';

/** How objects are to be kept by the server. */
export interface S3ObjectSettings {
  readonly storageClass: string | null;
  readonly serverSideEncryption: 'none' | 'AES256' | 'aws:kms';
  readonly kmsKeyId: string | null;
}

/** Headers of whatever makes an object. */
export function attributesOf({ storageClass, serverSideEncryption, kmsKeyId }: S3ObjectSettings) {
  return {
    ...(storageClass === null ? {} : { StorageClass: storageClass as 'STANDARD' }),
    ...(serverSideEncryption === 'none' ? {} : { ServerSideEncryption: serverSideEncryption }),
    ...(kmsKeyId === null || serverSideEncryption !== 'aws:kms' ? {} : { SSEKMSKeyId: kmsKeyId }),
  };
}

/** Bytes of another object of the same bucket, as it was when it had this ETag. */
export interface CopyRange {
  /** Key in the bucket. */
  readonly key: string;
  readonly etag: string | null;
  readonly offset: number;
  readonly length: number;
}

export interface MultipartOptions {
  readonly connection: S3Connection;
  readonly key: string;
  /** Of the request that begins it. */
  readonly attributes: object;
  /** Between further tries of a part, when the client's own have failed: hours of work must outlast a restart of the server. */
  readonly partRetryPausesMs?: readonly number[];
  readonly signal: AbortSignal;
}

const defaultPartRetryPausesMs = [1000, 5000, 15_000];

/** The requests of one multipart upload. Throws the client's own errors, or the signal's reason. */
export class Multipart {
  readonly #options: MultipartOptions;
  readonly #parts: { PartNumber: number; ETag: string | undefined }[] = [];
  #uploadId: string | null = null;

  constructor(options: MultipartOptions) {
    this.#options = options;
  }

  get begun(): boolean {
    return this.#uploadId !== null;
  }

  async begin(): Promise<void> {
    const command = new CreateMultipartUploadCommand({ ...this.#target, ...this.#options.attributes });
    const made = await this.#client.send(command, this.#stoppable);
    if (made.UploadId === undefined) throw new Error('the server gave no upload id');
    this.#uploadId = made.UploadId;
  }

  /** Parts are numbered from 1 on. */
  async send(number: number, body: Buffer): Promise<void> {
    const part = { ...this.#target, UploadId: this.#id, PartNumber: number, Body: body };
    const ETag = await this.#retried(async () => {
      const command = await signed(new UploadPartCommand(part), body);
      return (await this.#client.send(command, this.#stoppable)).ETag;
    });
    this.#parts[number - 1] = { PartNumber: number, ETag };
  }

  /** A part that the server takes from another object by itself. */
  async copy(number: number, { key, etag, offset, length }: CopyRange): Promise<void> {
    const { bucket } = this.#options.connection;
    const part = {
      ...this.#target,
      UploadId: this.#id,
      PartNumber: number,
      CopySource: [bucket, ...key.split('/')].map(encodeURIComponent).join('/'),
      CopySourceRange: `bytes=${offset}-${offset + length - 1}`,
      ...(etag === null ? {} : { CopySourceIfMatch: etag }),
    };
    const ETag = await this.#retried(async () => {
      const { CopyPartResult } = await this.#client.send(new UploadPartCopyCommand(part), this.#stoppable);
      return CopyPartResult?.ETag;
    });
    this.#parts[number - 1] = { PartNumber: number, ETag };
  }

  /** Makes the object of all parts; resolves to its ETag. Throws STORAGE_FAILED when it is not what was sent. */
  async complete(sizeBytes: number): Promise<string> {
    const upload = { UploadId: this.#id, MultipartUpload: { Parts: this.#parts } };
    try {
      const command = new CompleteMultipartUploadCommand({ ...this.#target, ...upload });
      const { ETag } = await this.#client.send(command, this.#stoppable);
      if (ETag) return ETag;
    } catch (cause) {
      // Without such an upload, an answer was lost: the request that was sent again found it completed.
      if (s3Failure(cause) !== 'no_upload') throw cause;
    }
    // Nor do all servers say the ETag at the end of an upload.
    const found = await this.#client.send(new HeadObjectCommand(this.#target), this.#stoppable);
    if (found.ContentLength === sizeBytes && found.ETag?.includes(`-${this.#parts.length}`)) return found.ETag;
    throw new XVaultError('STORAGE_FAILED', { detail: `${this.#options.key} is not what was uploaded` });
  }

  /** Leaves no parts at the server. Nothing may be on its way any more. */
  async abort(): Promise<void> {
    if (this.#uploadId === null) return;
    try {
      // A fresh request: the run's own signal may be the reason why it is given up.
      await this.#client.send(new AbortMultipartUploadCommand({ ...this.#target, UploadId: this.#uploadId }));
    } catch (cause) {
      if (s3Failure(cause) !== 'no_upload') throw cause;
    }
  }

  async #retried<T>(request: () => Promise<T>): Promise<T> {
    const { signal, partRetryPausesMs = defaultPartRetryPausesMs } = this.#options;
    const [...pausesMs] = partRetryPausesMs;
    for (;;) {
      try {
        return await request();
      } catch (error) {
        const pauseMs = pausesMs.shift();
        if (pauseMs === undefined || signal.aborted || !isPassing(error)) throw error;
        await sleep(pauseMs, undefined, { signal });
      }
    }
  }

  get #client(): S3Connection['client'] {
    return this.#options.connection.client;
  }

  get #id(): string {
    if (this.#uploadId === null) throw new Error('the upload has not begun');
    return this.#uploadId;
  }

  get #target() {
    return { Bucket: this.#options.connection.bucket, Key: this.#options.key };
  }

  get #stoppable() {
    return { abortSignal: this.#options.signal };
  }
}
