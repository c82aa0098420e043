import { setTimeout as sleep } from 'node:timers/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { XVaultError } from '@xvault/shared/errors.ts';
import { maxParts, nextPartBytes, partsInFlight } from './part-sizes.ts';
import type { S3Connection } from './s3-client.ts';
import { isPassing, s3Failure } from './s3-errors.ts';
import { signed } from './s3-signed-body.ts';

/** How objects are to be kept by the server. */
export interface S3ObjectSettings {
  readonly storageClass: string | null;
  readonly serverSideEncryption: 'none' | 'AES256' | 'aws:kms';
  readonly kmsKeyId: string | null;
}

export interface S3UploadOptions {
  readonly connection: S3Connection;
  readonly key: string;
  readonly settings: S3ObjectSettings;
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** `*` refuses to replace an object; only for what fits into one request. */
  readonly ifNoneMatch?: '*';
  readonly signal: AbortSignal;
  /** Between further tries of a part, when the client's own have failed: hours of work must outlast a restart of the server. */
  readonly partRetryPausesMs?: readonly number[];
  /** Makes errors of requests what the caller's callers know. */
  readonly toError: (cause: unknown, what: string, signal?: AbortSignal) => unknown;
}

export interface UploadedObject {
  readonly sizeBytes: number;
  readonly etag: string | null;
}

const defaultPartRetryPausesMs = [1000, 5000, 15_000];
/** A first part begins small, as most objects are. */
const smallestBufferBytes = 64 * 1024;

/**
 * Writes one object front to back: a single request when it is small, else parts of which several are on their way. Nothing is
 * seen under the key before `close`. Holds a part being filled and those on their way, no more.
 */
export class S3Upload {
  readonly key: string;
  readonly #options: S3UploadOptions;
  readonly #abort = new AbortController();
  readonly #client: S3Connection['client'];
  readonly #stoppable: { readonly abortSignal: AbortSignal };
  readonly #inFlight = new Set<Promise<void>>();
  readonly #parts: { PartNumber: number; ETag: string | undefined }[] = [];
  #buffer: Buffer = Buffer.alloc(0);
  #spare: Buffer[] = [];
  #filled = 0;
  #partBytes = nextPartBytes(0);
  #sizeBytes = 0;
  #partCount = 0;
  #uploadId: string | null = null;
  #failure: { readonly error: unknown } | null = null;
  #state: 'open' | 'closing' | 'failed' | 'done' | 'discarded' = 'open';

  constructor(options: S3UploadOptions) {
    this.key = options.key;
    this.#options = options;
    this.#client = options.connection.client;
    this.#stoppable = { abortSignal: AbortSignal.any([options.signal, this.#abort.signal]) };
  }

  /** True once the object is there as a whole. */
  get done(): boolean {
    return this.#state === 'done';
  }

  /** `data` may be reused when it resolves. */
  async write(data: Buffer): Promise<void> {
    this.#demandOpen();
    try {
      for (let at = 0; at < data.length; ) {
        if (this.#filled === this.#partBytes) await this.#sendPart();
        this.#makeRoom(data.length - at);
        const taken = data.copy(this.#buffer, this.#filled, at);
        this.#filled += taken;
        at += taken;
      }
      this.#throwFailure();
    } catch (cause) {
      throw this.#failed(cause);
    }
  }

  /** Resolves when the server has it all. */
  async close(): Promise<UploadedObject> {
    this.#demandOpen();
    this.#state = 'closing';
    try {
      const etag = this.#uploadId === null ? await this.#putWhole() : await this.#complete();
      this.#state = 'done';
      return { sizeBytes: this.#sizeBytes, etag };
    } catch (cause) {
      throw this.#failed(cause);
    } finally {
      this.#release();
    }
  }

  /** Gives up, in any state; leaves no parts at the server. What is `done` stays. */
  async discard(): Promise<void> {
    if (this.#state === 'done' || this.#state === 'discarded') return;
    this.#abort.abort(new Error('discarded'));
    await Promise.allSettled(this.#inFlight);
    this.#release();
    if (this.#uploadId !== null) {
      try {
        // A fresh request: the run's own signal may be the reason why it is discarded.
        await this.#client.send(new AbortMultipartUploadCommand({ ...this.#target(), UploadId: this.#uploadId }));
      } catch (cause) {
        if (s3Failure(cause) !== 'no_upload') throw this.#options.toError(cause, `cannot abort ${this.key}`);
      }
    }
    this.#state = 'discarded';
  }

  #target() {
    return { Bucket: this.#options.connection.bucket, Key: this.key };
  }

  #attributes() {
    const { settings, contentType, metadata } = this.#options;
    return {
      ...(contentType === undefined ? {} : { ContentType: contentType }),
      ...(metadata === undefined ? {} : { Metadata: { ...metadata } }),
      ...(settings.storageClass === null ? {} : { StorageClass: settings.storageClass as 'STANDARD' }),
      ...(settings.serverSideEncryption === 'none' ? {} : { ServerSideEncryption: settings.serverSideEncryption }),
      ...(settings.kmsKeyId === null || settings.serverSideEncryption !== 'aws:kms'
        ? {}
        : { SSEKMSKeyId: settings.kmsKeyId }),
    };
  }

  #makeRoom(wanted: number): void {
    const needed = Math.min(this.#partBytes, this.#filled + wanted);
    if (this.#buffer.length >= needed) return;
    const spare = this.#spare.pop();
    if (spare !== undefined && spare.length === this.#partBytes && this.#filled === 0) {
      this.#buffer = spare;
      return;
    }
    // Only the first part grows; later ones have their full size at once.
    const grown = Math.max(needed, this.#buffer.length * 4, smallestBufferBytes);
    const larger = Buffer.allocUnsafeSlow(this.#partCount > 0 ? this.#partBytes : Math.min(grown, this.#partBytes));
    this.#buffer.copy(larger, 0, 0, this.#filled);
    this.#buffer = larger;
  }

  /** Hands the filled part over, waiting until one more may be on its way. */
  async #sendPart(): Promise<void> {
    if (this.#partCount === maxParts) throw new XVaultError('STORAGE_FULL', { detail: `${this.key} is over 5 TiB` });
    this.#uploadId ??= await this.#begin();
    while (this.#inFlight.size >= partsInFlight(this.#partBytes)) await Promise.race(this.#inFlight);
    this.#throwFailure();
    const buffer = this.#buffer;
    const body = buffer.subarray(0, this.#filled);
    this.#partCount += 1;
    const sending: Promise<void> = this.#uploadPart(this.#uploadId, this.#partCount, body)
      .then(() => {
        if (buffer.length === this.#partBytes && this.#state === 'open') this.#spare.push(buffer);
      })
      .catch((error: unknown) => {
        this.#failure ??= { error };
        this.#abort.abort(error);
      })
      .finally(() => this.#inFlight.delete(sending));
    this.#inFlight.add(sending);
    this.#sizeBytes += body.length;
    this.#buffer = Buffer.alloc(0);
    this.#filled = 0;
    const next = nextPartBytes(this.#sizeBytes);
    if (next !== this.#partBytes) this.#spare = [];
    this.#partBytes = next;
  }

  async #begin(): Promise<string> {
    const made = await this.#client.send(
      new CreateMultipartUploadCommand({ ...this.#target(), ...this.#attributes() }),
      this.#stoppable,
    );
    if (made.UploadId === undefined) throw new Error('the server gave no upload id');
    return made.UploadId;
  }

  async #uploadPart(uploadId: string, number: number, body: Buffer): Promise<void> {
    const part = { ...this.#target(), UploadId: uploadId, PartNumber: number, Body: body };
    const [...pausesMs] = this.#options.partRetryPausesMs ?? defaultPartRetryPausesMs;
    for (;;) {
      try {
        const command = await signed(new UploadPartCommand(part), body);
        const { ETag } = await this.#client.send(command, this.#stoppable);
        this.#parts[number - 1] = { PartNumber: number, ETag };
        return;
      } catch (error) {
        const pauseMs = pausesMs.shift();
        if (pauseMs === undefined || this.#stoppable.abortSignal.aborted || !isPassing(error)) throw error;
        await sleep(pauseMs, undefined, { signal: this.#stoppable.abortSignal });
      }
    }
  }

  async #putWhole(): Promise<string | null> {
    const body = this.#buffer.subarray(0, this.#filled);
    const { ifNoneMatch } = this.#options;
    const command = new PutObjectCommand({
      ...this.#target(),
      ...this.#attributes(),
      Body: body,
      ...(ifNoneMatch === undefined ? {} : { IfNoneMatch: ifNoneMatch }),
    });
    const { ETag } = await this.#client.send(await signed(command, body), this.#stoppable);
    this.#sizeBytes = body.length;
    return ETag ?? null;
  }

  async #complete(): Promise<string | null> {
    if (this.#filled > 0) await this.#sendPart();
    await Promise.all(this.#inFlight);
    this.#throwFailure();
    const upload = { UploadId: this.#uploadId ?? '', MultipartUpload: { Parts: this.#parts } };
    try {
      const command = new CompleteMultipartUploadCommand({ ...this.#target(), ...upload });
      const { ETag } = await this.#client.send(command, this.#stoppable);
      if (ETag) return ETag;
    } catch (cause) {
      // Without such an upload, an answer was lost: the request that was sent again found it completed.
      if (s3Failure(cause) !== 'no_upload') throw cause;
    }
    // Nor do all servers say the ETag at the end of an upload.
    const found = await this.#client.send(new HeadObjectCommand(this.#target()), this.#stoppable);
    if (found.ContentLength === this.#sizeBytes && found.ETag?.includes(`-${this.#partCount}`)) return found.ETag;
    throw new XVaultError('STORAGE_FAILED', { detail: `${this.key} is not what was uploaded` });
  }

  #throwFailure(): void {
    if (this.#failure !== null) throw this.#failure.error;
  }

  #failed(cause: unknown): unknown {
    this.#state = 'failed';
    this.#release();
    return this.#options.toError(this.#failure?.error ?? cause, `cannot write ${this.key}`, this.#options.signal);
  }

  #release(): void {
    this.#buffer = Buffer.alloc(0);
    this.#spare = [];
  }

  #demandOpen(): void {
    if (this.#state !== 'open') throw new XVaultError('STORAGE_FAILED', { detail: `${this.key} is ${this.#state}` });
  }
}
