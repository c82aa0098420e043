import { ListObjectsV2Command, type ListObjectsV2CommandOutput } from '@aws-sdk/client-s3';
import type { SkippedItem, SourceEntry } from '../connector.ts';
import { asking, type Bucket } from './bucket.ts';
import { decodeListedKey, keyToPath, skippedKey } from './keys.ts';

interface Listed {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modified: Date;
}

export const fileMode = 0o644;
export const directoryMode = 0o755;

/** The pages of a bucket below its prefix; the next one is asked for while this one is used. */
export async function* listPages(bucket: Bucket, signal: AbortSignal): AsyncGenerator<Listed[]> {
  let next: Promise<ListObjectsV2CommandOutput> | undefined = askPage(bucket, undefined, signal);
  while (next !== undefined) {
    const page: ListObjectsV2CommandOutput = await next;
    const token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    next = token === undefined ? undefined : askPage(bucket, token, signal);
    // Its failure is thrown when its turn comes.
    next?.catch(() => undefined);
    yield (page.Contents ?? []).map(({ Key = '', Size = 0, LastModified = new Date(0) }) => {
      const key = decodeListedKey(Key).slice(bucket.prefix.length);
      return { key, sizeBytes: Size, modified: LastModified };
    });
  }
}

function askPage({ connection, prefix }: Bucket, token: string | undefined, signal: AbortSignal) {
  const command = new ListObjectsV2Command({
    Bucket: connection.bucket,
    Prefix: prefix,
    EncodingType: 'url',
    ...(token === undefined ? {} : { ContinuationToken: token }),
  });
  return asking('listing the bucket', signal, () => connection.client.send(command, { abortSignal: signal }));
}

/**
 * Keys as a tree, in the order of the keys: each directory comes before what is below it, and all below it together. An object
 * whose name another key has for its directory keeps the name; what is below it is left out, with a warning.
 */
export async function* listObjects(bucket: Bucket, signal: AbortSignal): AsyncGenerator<SourceEntry | SkippedItem> {
  yield directory(Buffer.from('.'), new Date(0));
  const tree = new TreeOfKeys();
  for await (const page of listPages(bucket, signal)) {
    for (const listed of page) yield* tree.add(listed);
  }
}

class TreeOfKeys {
  /** The directory that the last key was in, part by part. */
  #directory: string[] = [];
  /** Objects that a key to come may have for its directory: each is the beginning of the next. */
  #files: string[] = [];

  *add({ key, sizeBytes, modified }: Listed): Generator<SourceEntry | SkippedItem> {
    // The prefix itself, kept by some tools as an empty object.
    if (key === '' && sizeBytes === 0) return;
    const found = keyToPath(key);
    if ('reason' in found) {
      yield skippedKey(key, found.reason);
      return;
    }
    const path = found.path.toString();
    while (!key.startsWith(this.#files.at(-1) ?? '')) this.#files.pop();
    if (this.#files.some((file) => key.startsWith(`${file}/`))) {
      yield skippedKey(key, 'an object has the name of its directory');
      return;
    }
    const parts = path.split('/');
    const parents = found.isDirectory ? parts : parts.slice(0, -1);
    yield* this.#enter(parents, modified);
    if (!found.isDirectory) {
      this.#files.push(path);
      yield file(found.path, sizeBytes, modified);
    } else if (sizeBytes > 0) {
      yield skippedKey(key, 'an object with content has the name of a directory');
    }
  }

  *#enter(parents: readonly string[], modified: Date): Generator<SourceEntry> {
    const same = parents.findIndex((part, at) => part !== this.#directory[at]);
    const known = same === -1 ? parents.length : same;
    for (let depth = known + 1; depth <= parents.length; depth += 1) {
      yield directory(Buffer.from(parents.slice(0, depth).join('/')), modified);
    }
    this.#directory = [...parents];
  }
}

function directory(path: Buffer, modified: Date): SourceEntry {
  return { ...file(path, 0, modified), type: 'directory', mode: directoryMode };
}

function file(path: Buffer, sizeBytes: number, modified: Date): SourceEntry {
  const mtimeNs = BigInt(modified.getTime()) * 1_000_000n;
  return { path, type: 'file', sizeBytes, mode: fileMode, uid: 0, gid: 0, mtimeNs };
}
