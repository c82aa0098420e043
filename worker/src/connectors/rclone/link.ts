import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { type ListedObject, listObjects } from '../../engines/sync/listing.ts';
import { keyCode } from '../../engines/sync/oauth/key-code.ts';
import { type Classified, classify } from '../../engines/sync/rclone/classify.ts';
import { type RcClient, RcError } from '../../engines/sync/rclone/rc-client.ts';

/** A source that a private rclone reaches for one run. */
export interface RcloneLink {
  readonly rc: RcClient;
  /** What names are put behind, and its root. */
  readonly fs: string;
  readonly type: string;
  /** It is read by a service account, which no one can sign in anew. */
  readonly actsByKey: boolean;
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
    throw sourceError(link, error, 'listing the root');
  }
}

export function sourceError(link: Pick<RcloneLink, 'actsByKey'>, error: unknown, what: string): unknown {
  if (!(error instanceof RcError)) return error;
  const detail = `${what}: ${error.words}`.slice(0, 2000);
  return new XVaultError(codeOf(link, classify(error.words)), { detail, cause: error });
}

export function codeOf({ actsByKey }: Pick<RcloneLink, 'actsByKey'>, { source }: Classified): ErrorCode {
  return actsByKey ? keyCode(source) : source;
}

/** Worth another try: the way to the server, or the server's patience. */
export function isPassing({ event }: Classified): boolean {
  return event === 'ERROR_NETWORK' || event === 'ERROR_RATE_LIMIT';
}
