import { PutObjectCommand } from '@aws-sdk/client-s3';
import { XVaultError } from '@xvault/shared/errors.ts';
import { maxParts, nextPartBytes, partsInFlight } from './part-sizes.ts';
import type { S3Connection } from './s3-client.ts';
import { attributesOf, Multipart, type MultipartOptions, type S3ObjectSettings } from './s3-multipart.ts';
import { signed } from './s3-signed-body.ts';

export interface S3UploadOptions extends Omit<MultipartOptions, 'attributes'> {
  readonly settings: S3ObjectSettings;
  readonly contentType?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  /** `*` refuses to replace an object; only for what fits into one request. */
  readonly ifNoneMatch?: '*';
  /** Makes errors of requests what the caller's callers know. */
  readonly toError: (cause: unknown, what: string, signal?: AbortSignal) => unknown;
}

export interface UploadedObject {
  readonly sizeBytes: number;
  readonly etag: string | null;
}

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
  readonly #multipart: Multipart;
  readonly #inFlight = new Set<Promise<void>>();
  #buffer: Buffer = Buffer.alloc(0);
  #spare: Buffer[] = [];
  #filled = 0;
  #partBytes = nextPartBytes(0);
  #sizeBytes = 0;
  #partCount = 0;
  #failure: { readonly error: unknown } | null = null;
  #state: 'open' | 'closing' | 'failed' | 'done' | 'discarded' = 'open';

  constructor(options: S3UploadOptions) {
    this.key = options.key;
    this.#options = options;
    this.#client = options.connection.client;
    const signal = AbortSignal.any([options.signal, this.#abort.signal]);
    this.#stoppable = { abortSignal: signal };
    this.#multipart = new Multipart({ ...options, attributes: this.#attributes(), signal });
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
      const etag = !this.#multipart.begun ? await this.#putWhole() : await this.#complete();
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
    try {
      await this.#multipart.abort();
    } catch (cause) {
      throw this.#options.toError(cause, `cannot abort ${this.key}`);
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
      ...attributesOf(settings),
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
    if (!this.#multipart.begun) await this.#multipart.begin();
    while (this.#inFlight.size >= partsInFlight(this.#partBytes)) await Promise.race(this.#inFlight);
    this.#throwFailure();
    const buffer = this.#buffer;
    const body = buffer.subarray(0, this.#filled);
    this.#partCount += 1;
    const sending: Promise<void> = this.#multipart
      .send(this.#partCount, body)
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
    return this.#multipart.complete(this.#sizeBytes);
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
