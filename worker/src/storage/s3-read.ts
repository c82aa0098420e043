import type { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { GetObjectCommand } from '@aws-sdk/client-s3';
import type { S3Connection } from './s3-client.ts';
import { isPassing } from './s3-errors.ts';

export interface S3Range {
  readonly key: string;
  readonly offset: number;
  readonly length: number;
  /** Fails with `PreconditionFailed` (412) when the object is another by now. */
  readonly etag: string | null;
}

const tries = 5;
const firstPauseMs = 200;

/**
 * A range of an object, or as much of it as there is. A broken transfer goes on where it broke. Throws the SDK's errors, or the
 * signal's reason.
 */
export async function readS3Range(connection: S3Connection, range: S3Range, signal: AbortSignal): Promise<Buffer> {
  const data = Buffer.allocUnsafeSlow(range.length);
  let done = 0;
  for (let attempt = 1; done < range.length; attempt += 1) {
    const before = done;
    try {
      for await (const chunk of await openRange(connection, range, done, signal)) {
        done += chunk.copy(data, done);
      }
      break;
    } catch (error) {
      signal.throwIfAborted();
      if (done > before) attempt = 1;
      if (attempt >= tries || !isPassing(error)) throw error;
      await sleep(firstPauseMs * 2 ** (attempt - 1), undefined, { signal });
    }
  }
  return data.subarray(0, done);
}

async function openRange(
  { client, bucket }: S3Connection,
  { key, offset, length, etag }: S3Range,
  done: number,
  signal: AbortSignal,
): Promise<AsyncIterable<Buffer>> {
  const command = new GetObjectCommand({
    Bucket: bucket,
    Key: key,
    Range: `bytes=${offset + done}-${offset + length - 1}`,
    ...(etag === null ? {} : { IfMatch: etag }),
  });
  const { Body, ContentLength } = await client.send(command, { abortSignal: signal });
  if (Body === undefined) throw new Error('the server sent no body');
  return whole(Body as Readable, ContentLength);
}

/** A body that ends before its announced length was cut off, however orderly its end looks. */
async function* whole(body: Readable, announced: number | undefined): AsyncGenerator<Buffer> {
  let got = 0;
  for await (const chunk of body) {
    got += (chunk as Buffer).length;
    yield chunk as Buffer;
  }
  if (announced !== undefined && got < announced) {
    throw Object.assign(new Error('the transfer was cut off'), { code: 'ECONNRESET' });
  }
}
