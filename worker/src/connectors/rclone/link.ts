import { XVaultError } from '@xvault/shared/errors.ts';
import { type ListedObject, listObjects } from '../../engines/sync/listing.ts';
import { type Classified, classify } from '../../engines/sync/rclone/classify.ts';
import { type RcClient, RcError } from '../../engines/sync/rclone/rc-client.ts';

/** A source that a private rclone reaches for one run. */
export interface RcloneLink {
  readonly rc: RcClient;
  /** What names are put behind, and its root. */
  readonly fs: string;
  readonly type: string;
  /** Of rclone. */
  readonly version: string;
  /** What rclone's log last said of an item; the answers of its calls say less. */
  wordsOf(path: string): string | null;
  close(): Promise<void>;
}

/** A directory's entries as rclone has them. Throws RcError. */
export function listDirectory({ rc, fs }: RcloneLink, directory: string, signal: AbortSignal): Promise<ListedObject[]> {
  const request = { recursive: false, filesOnly: false, withMtime: true, withHashes: false };
  return listObjects(rc, { fs, remote: directory, ...request }, signal);
}

/** The root's entries. Throws SOURCE_…, CONNECTION_…. */
export async function listRoot(link: RcloneLink, signal: AbortSignal): Promise<ListedObject[]> {
  try {
    return await listDirectory(link, '', signal);
  } catch (error) {
    throw sourceError(error, 'listing the root');
  }
}

export function sourceError(error: unknown, what: string): unknown {
  if (!(error instanceof RcError)) return error;
  return new XVaultError(classify(error.words).source, {
    detail: `${what}: ${error.words}`.slice(0, 2000),
    cause: error,
  });
}

/** Worth another try: the way to the server, or the server's patience. */
export function isPassing({ event }: Classified): boolean {
  return event === 'ERROR_NETWORK' || event === 'ERROR_RATE_LIMIT';
}
