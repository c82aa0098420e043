import { XVaultError } from '@xvault/shared/errors.ts';
import { type ListedObject, listObjects, PartialListError } from './listing.ts';
import { classify, isItemError } from './rclone/classify.ts';
import { type RcClient, RcError } from './rclone/rc-client.ts';

const listersInFlight = 8;

export interface SourceListing {
  readonly objects: ReadonlyMap<string, ListedObject>;
  /** Directories that could not be read, with rclone's words: what they hold is not known. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** Names that no version can hold: not UTF-8, or of a second object of the same name. */
  readonly unsupported: ReadonlySet<string>;
}

export interface SourceListingRequest {
  readonly rc: RcClient;
  readonly fs: string;
  readonly withMtime: boolean;
  /** A bucket that is not there is what a directory that is not there means. */
  readonly isBucket: boolean;
  readonly filter: Readonly<Record<string, unknown>>;
  readonly signal: AbortSignal;
}

/** All objects of a source. Throws SOURCE_… when it cannot be read as a whole. */
export async function listSource(request: SourceListingRequest): Promise<SourceListing> {
  const { rc, fs, withMtime, filter, signal } = request;
  try {
    const list = await listObjects(
      rc,
      { fs, recursive: true, filesOnly: true, withMtime, withHashes: false, filter },
      signal,
    );
    return { ...named(list), unreadable: new Map() };
  } catch (error) {
    if (!(error instanceof RcError)) throw error;
    if (request.isBucket || !isItemError(classify(error.words))) throw sourceError(error, request.isBucket);
    return listByDirectory(request);
  }
}

/** What rclone's JSON cannot carry of a name, it replaces by this. */
const replacement = '\ufffd';

/** Of two of a name the first, as rclone takes it. */
function named(list: Iterable<ListedObject>): Pick<SourceListing, 'objects' | 'unsupported'> {
  const objects = new Map<string, ListedObject>();
  const unsupported = new Set<string>();
  for (const item of list) {
    if (item.path.includes(replacement) || objects.has(item.path)) unsupported.add(item.path);
    else objects.set(item.path, item);
  }
  return { objects, unsupported };
}

/** One listing gives all or nothing, so where a part of the tree cannot be read it is listed by its directories. */
async function listByDirectory({ rc, fs, withMtime, filter, signal }: SourceListingRequest): Promise<SourceListing> {
  const objects: ListedObject[] = [];
  const unreadable = new Map<string, string>();
  const waiting = [''];
  let working = 0;
  const take = (list: readonly ListedObject[]) => {
    for (const item of list) {
      if (item.isDirectory) waiting.push(item.path);
      else objects.push(item);
    }
  };
  const lister = async () => {
    for (;;) {
      const directory = waiting.pop();
      if (directory === undefined) {
        if (working === 0) return;
        await new Promise((resolve) => setTimeout(resolve, 5));
        continue;
      }
      working += 1;
      try {
        const request = { fs, remote: directory, recursive: false, filesOnly: false, withMtime, withHashes: false };
        take(await listObjects(rc, { ...request, filter }, signal));
      } catch (error) {
        if (!(error instanceof RcError)) throw error;
        if (directory === '' || !isItemError(classify(error.words, directory))) throw sourceError(error, false);
        if (error instanceof PartialListError) take(error.listed);
        unreadable.set(directory, error.words);
      } finally {
        working -= 1;
      }
    }
  };
  await Promise.all(Array.from({ length: listersInFlight }, lister));
  return { ...named(objects), unreadable };
}

/** Whether a path lies in one of the directories. */
export function isBelowAny(path: string, directories: ReadonlyMap<string, unknown>): boolean {
  if (directories.size === 0) return false;
  for (let at = path.indexOf('/'); at >= 0; at = path.indexOf('/', at + 1)) {
    if (directories.has(path.slice(0, at))) return true;
  }
  return false;
}

function sourceError(error: RcError, isBucket: boolean): XVaultError {
  const told = classify(error.words);
  const code = isBucket && told.source === 'SOURCE_PATH_NOT_FOUND' ? 'SOURCE_BUCKET_NOT_FOUND' : told.source;
  return new XVaultError(code, { detail: `listing the source: ${error.words}`.slice(0, 2000), cause: error });
}
