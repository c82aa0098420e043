import { z } from 'zod';
import { type RcClient, RcError } from './rclone/rc-client.ts';

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

/** All at once, so its memory grows with the number of objects: about 300 bytes each. A directory that is not there is empty. */
export async function listObjects(rc: RcClient, request: ListRequest, signal: AbortSignal): Promise<ListedObject[]> {
  const opt = {
    recurse: request.recursive,
    filesOnly: request.filesOnly,
    noModTime: !request.withMtime,
    noMimeType: true,
    showHash: request.withHashes,
  };
  const filter = request.filter === undefined ? {} : { _filter: request.filter };
  const answer = await rc.call(
    'operations/list',
    { fs: request.fs, remote: request.remote ?? '', opt, ...filter },
    signal,
  );
  return (listed.parse(answer).list ?? []).map((item) => ({
    path: item.Path,
    sizeBytes: item.Size,
    isDirectory: item.IsDir,
    mtime: request.withMtime ? (item.ModTime ?? null) : null,
    hashes: item.Hashes !== undefined && Object.keys(item.Hashes).length > 0 ? item.Hashes : null,
  }));
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
