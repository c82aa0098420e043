import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3';
import { isPassing, type S3Failure, s3Failure, s3SourceError } from '../../storage/s3-errors.ts';
import { readS3Range } from '../../storage/s3-read.ts';
import type { FileStream, ItemCode, ReadResult, SkippedItem, SourceEntry } from '../connector.ts';
import type { Bucket } from './bucket.ts';
import { attributesOf, withMetadata } from './metadata.ts';

const tries = 4;
const rangeBytes = 4 * 1024 * 1024;

const itemCodes: Partial<Record<S3Failure, ItemCode>> = { no_key: 'ITEM_VANISHED', permission: 'ITEM_UNREADABLE' };

/** One object in one request; what is read is one version of it, however often it is replaced meanwhile. */
export async function readObject(
  bucket: Bucket,
  listed: SourceEntry,
  limitBytes: number,
  signal: AbortSignal,
): Promise<ReadResult> {
  const { connection } = bucket;
  const command = new GetObjectCommand({ Bucket: connection.bucket, Key: keyOf(bucket, listed) });
  for (let attempt = 1; ; attempt += 1) {
    try {
      const answer = await connection.client.send(command, { abortSignal: signal });
      const { Body, ContentLength = 0, Metadata } = answer;
      const body = Body as Readable;
      if (ContentLength > limitBytes) {
        body.destroy();
        return { ok: false, skipped: skip(listed, 'ITEM_CHANGED', 'the object became large while it was to be read') };
      }
      const data = await collect(body, ContentLength);
      const attributes = attributesOf(answer);
      const entry = withMetadata({ ...listed, sizeBytes: data.length, attributes, ...modifiedOf(answer) }, Metadata);
      return { ok: true, entry, data, changed: false };
    } catch (cause) {
      signal.throwIfAborted();
      const code = itemCodes[s3Failure(cause)];
      if (code !== undefined) return { ok: false, skipped: skip(listed, code, s3Failure(cause)) };
      if (attempt === tries || !isPassing(cause)) throw s3SourceError(cause, 'reading an object', signal);
      await sleep(200 * 2 ** attempt, undefined, { signal });
    }
  }
}

async function collect(body: Readable, length: number): Promise<Buffer> {
  const data = Buffer.allocUnsafeSlow(length);
  let done = 0;
  for await (const chunk of body) done += (chunk as Buffer).copy(data, done);
  if (done < length) throw Object.assign(new Error('the transfer was cut off'), { code: 'ECONNRESET' });
  return data;
}

/** Ranges of a large object, several at a time, all of the version that was there when it was opened. */
export async function openObject(
  bucket: Bucket,
  listed: SourceEntry,
  signal: AbortSignal,
): Promise<FileStream | SkippedItem> {
  const { connection, parallelGets } = bucket;
  const key = keyOf(bucket, listed);
  try {
    const command = new HeadObjectCommand({ Bucket: connection.bucket, Key: key });
    const found = await connection.client.send(command, { abortSignal: signal });
    const { ContentLength = 0, ETag = null, Metadata } = found;
    const attributes = attributesOf(found);
    const entry = withMetadata({ ...listed, sizeBytes: ContentLength, attributes, ...modifiedOf(found) }, Metadata);
    const ranges = new Ranges(bucket, key, ETag, ContentLength, parallelGets, signal);
    return {
      entry,
      chunks: ranges.read(),
      changed: async () => ranges.changed,
      close: () => ranges.close(),
    };
  } catch (cause) {
    signal.throwIfAborted();
    const code = itemCodes[s3Failure(cause)];
    if (code === undefined) throw s3SourceError(cause, 'opening an object', signal);
    return skip(listed, code, s3Failure(cause));
  }
}

/** Not so many requests that a customer's own use of the bucket suffers, and never more memory than they hold. */
class Ranges {
  readonly #bucket: Bucket;
  readonly #key: string;
  readonly #etag: string | null;
  readonly #sizeBytes: number;
  readonly #atATime: number;
  readonly #signal: AbortSignal;
  readonly #stop = new AbortController();
  readonly #ahead: Promise<Buffer>[] = [];
  changed = false;

  constructor(
    bucket: Bucket,
    key: string,
    etag: string | null,
    sizeBytes: number,
    atATime: number,
    signal: AbortSignal,
  ) {
    this.#bucket = bucket;
    this.#key = key;
    this.#etag = etag;
    this.#sizeBytes = sizeBytes;
    this.#atATime = atATime;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  async *read(): AsyncGenerator<Buffer> {
    let asked = 0;
    try {
      for (let given = 0; given < this.#sizeBytes; ) {
        for (; asked < this.#sizeBytes && this.#ahead.length < this.#atATime; asked += rangeBytes) this.#ask(asked);
        const data = await this.#ahead.shift();
        if (data === undefined || data.length === 0) break;
        given += data.length;
        yield data;
      }
    } catch (cause) {
      // Replaced or removed: what was given stays, and the rest is told as missing.
      const failure = s3Failure(cause);
      if (failure !== 'condition' && failure !== 'no_key') {
        throw s3SourceError(cause, 'reading an object', this.#signal);
      }
      this.changed = true;
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('closed'));
    await Promise.allSettled(this.#ahead);
  }

  #ask(offset: number): void {
    const length = Math.min(rangeBytes, this.#sizeBytes - offset);
    const range = { key: this.#key, offset, length, etag: this.#etag };
    const reading = readS3Range(this.#bucket.connection, range, this.#signal);
    // Its failure is thrown when its turn comes.
    reading.catch(() => undefined);
    this.#ahead.push(reading);
  }
}

function modifiedOf({ LastModified }: { LastModified?: Date | undefined }): Partial<SourceEntry> {
  return LastModified === undefined ? {} : { mtimeNs: BigInt(LastModified.getTime()) * 1_000_000n };
}

function keyOf({ prefix }: Bucket, { path }: SourceEntry): string {
  return `${prefix}${path.toString()}`;
}

function skip({ path }: SourceEntry, skipped: ItemCode, detail: string): SkippedItem {
  return { path, skipped, detail };
}
