import { z } from 'zod';
import { type RcClient, RcError } from './rclone/rc-client.ts';

/** Names the statistics: one for each listing. */
let listings = 0;
const counted = z.object({ errors: z.number(), lastError: z.string().optional() });

const listed = z.object({
  list: z
    .array(
      z.object({
        Path: z.string(),
        Size: z.number(),
        IsDir: z.boolean(),
        ModTime: z.string().optional(),
        Hashes: z.record(z.string(), z.string()).optional(),
      }),
    )
    .nullable(),
});

export interface ListedObject {
  readonly path: string;
  /** -1 where the backend does not know, as for documents of Google. */
  readonly sizeBytes: number;
  readonly isDirectory: boolean;
  /** RFC 3339; null when not asked for. */
  readonly mtime: string | null;
  readonly hashes: Readonly<Record<string, string>> | null;
}

export interface ListRequest {
  /** `name:path`. */
  readonly fs: string;
  /** A directory below it; paths are still those from `fs` on. */
  readonly remote?: string;
  readonly recursive: boolean;
  readonly filesOnly: boolean;
  /** Leave out what costs a request for each object on some backends. */
  readonly withMtime: boolean;
  readonly withHashes: boolean;
  readonly filter?: Readonly<Record<string, unknown>>;
}

/** A listing that lacks what could not be read. */
export class PartialListError extends RcError {
  readonly listed: readonly ListedObject[];
  constructor(words: string, listed: readonly ListedObject[]) {
    super('operations/list', 500, words);
    this.name = 'PartialListError';
    this.listed = listed;
  }
}

/**
 * All at once, so its memory grows with the number of objects: about 300 bytes each. Throws PartialListError where rclone gives a
 * listing and only counts that it could not read some of it, as it does on disks; RcError.
 */
export async function listObjects(rc: RcClient, request: ListRequest, signal: AbortSignal): Promise<ListedObject[]> {
  const opt = {
    recurse: request.recursive,
    filesOnly: request.filesOnly,
    noModTime: !request.withMtime,
    noMimeType: true,
    showHash: request.withHashes,
  };
  const filter = request.filter === undefined ? {} : { _filter: request.filter };
  listings += 1;
  const group = `list-${listings}`;
  const input = { fs: request.fs, remote: request.remote ?? '', opt, ...filter, _group: group };
  const answer = await rc.call('operations/list', input, signal);
  const list = (listed.parse(answer).list ?? []).map((item) => ({
    path: item.Path,
    sizeBytes: item.Size,
    isDirectory: item.IsDir,
    mtime: request.withMtime ? (item.ModTime ?? null) : null,
    hashes: item.Hashes !== undefined && Object.keys(item.Hashes).length > 0 ? item.Hashes : null,
  }));
  const { errors, lastError } = counted.parse(await rc.call('core/stats', { group }, signal));
  if (errors > 0) throw new PartialListError(lastError ?? 'some of it could not be read', list);
  return list;
}

/** As {@link listObjects}; a directory that is not there is empty. */
export async function listOrEmpty(rc: RcClient, request: ListRequest, signal: AbortSignal): Promise<ListedObject[]> {
  try {
    return await listObjects(rc, request, signal);
  } catch (error) {
    if (error instanceof RcError && /directory not found/i.test(error.words)) return [];
    throw error;
  }
}

/** As {@link listOrEmpty} of a directory below `fs`, by paths from that directory on. Each further `fs` costs crypt a key derivation. */
export async function listBelow(
  rc: RcClient,
  request: ListRequest & { readonly remote: string },
  signal: AbortSignal,
): Promise<ListedObject[]> {
  const list = await listOrEmpty(rc, request, signal);
  return list.map((item) => ({ ...item, path: item.path.slice(request.remote.length + 1) }));
}
