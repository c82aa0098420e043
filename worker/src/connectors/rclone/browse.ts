import type { BrowseRequest } from '@xvault/shared/browse.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { isWithin, type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { z } from 'zod';
import { type RcloneLink, sourceError } from './link.ts';

type Found = Omit<Extract<ResultInput<'probe'>['probe'], { type: 'browse' }>, 'type'>;
type Item = Found['items'][number];

const drives = z.array(z.object({ id: z.string(), name: z.string() }));
const listedFolder = z.object({ Name: z.string(), ID: z.string().optional() });
const listedFolders = z.object({ list: z.array(listedFolder).nullable() });

/** The source, pointed at what is to be listed. Throws PATH_NOT_ALLOWED. */
export function toBrowse(source: SourceConnection, { what, parent }: BrowseRequest): SourceConnection {
  const at = (config: object) => sourceConnection.parse({ ...source, config: { ...source.config, ...config } });
  switch (source.type) {
    case 'local': {
      const path = parent === '' ? source.config.path : parent;
      // What else a tenant may read is for the Hub to say, when a source is pointed at it.
      if (!isWithin(source.config.path, path)) throw new XVaultError('PATH_NOT_ALLOWED');
      return at({ path });
    }
    case 'google_drive':
      if (what === 'drives') return at({ root_folder_id: null, team_drive: null, path: '' });
      return at({ path: '', ...(parent === '' ? {} : { root_folder_id: parent }) });
    case 's3':
      return at({ prefix: parent });
    case 'sftp':
    case 'ssh':
    case 'ftp':
      return at({ path: parent === '' ? '/' : parent });
    default:
      return at({ path: parent });
  }
}

/** What a picker shows: ids and names, in order of names, a page at a time. Throws SOURCE_…, CONNECTION_…. */
export async function browseLink(
  link: RcloneLink,
  source: SourceConnection,
  request: BrowseRequest,
  signal: AbortSignal,
): Promise<Found> {
  const items = await (request.what === 'drives'
    ? sharedDrives(link, signal)
    : directories(link, source, request, signal));
  return pageOf(items, request);
}

async function sharedDrives(link: RcloneLink, signal: AbortSignal): Promise<Item[]> {
  try {
    const answer = await link.rc.call('backend/command', { command: 'drives', fs: link.fs }, signal);
    return drives.parse(z.object({ result: z.unknown() }).parse(answer).result ?? []);
  } catch (error) {
    throw sourceError(link, error, 'listing shared drives');
  }
}

async function directories(
  link: RcloneLink,
  source: SourceConnection,
  request: BrowseRequest,
  signal: AbortSignal,
): Promise<Item[]> {
  // Above a bucket or share there is the server.
  const isBuckets = request.what === 'buckets';
  const found = await listFolders(isBuckets ? { ...link, fs: 'src:' } : link, signal);
  // Folders of a drive are known by their ids: names need not be unique.
  if (source.type === 'google_drive') return found.map(({ ID: id = '', Name: name }) => ({ id, name }));
  const before = isBuckets ? '' : parentOf(source, request);
  return found.map(({ Name: name }) => ({ id: `${before}${name}`, name }));
}

/** Without what costs a request for each object on some backends. */
async function listFolders(link: RcloneLink, signal: AbortSignal): Promise<z.infer<typeof listedFolder>[]> {
  try {
    const opt = { dirsOnly: true, noModTime: true, noMimeType: true };
    const answer = await link.rc.call('operations/list', { fs: link.fs, remote: '', opt }, signal);
    return listedFolders.parse(answer).list ?? [];
  } catch (error) {
    throw sourceError(link, error, 'listing folders');
  }
}

function parentOf({ type, config }: SourceConnection, { parent }: BrowseRequest): string {
  if (type === 'local' && 'path' in config) return `${(parent === '' ? config.path : parent).replace(/\/+$/, '')}/`;
  if (type === 'sftp' || type === 'ssh' || type === 'ftp') return `${parent.replace(/\/+$/, '')}/`;
  return parent === '' ? '' : `${parent.replace(/\/+$/, '')}/`;
}

/** The cursor is the last item of the page before, so that what comes and goes meanwhile doubles nothing. */
function pageOf(items: readonly Item[], { cursor, limit }: BrowseRequest): Found {
  const key = ({ name, id }: Item) => `${name}\0${id}`;
  const sorted = items.map((item) => ({ item, key: key(item) })).sort((a, b) => (a.key < b.key ? -1 : 1));
  const after = cursor === null ? null : Buffer.from(cursor, 'base64url').toString();
  const left = sorted.filter((each) => after === null || each.key > after);
  const page = left.slice(0, limit);
  const last = page.at(-1);
  const more = left.length > page.length && last !== undefined;
  return {
    items: page.map(({ item }) => item),
    next_cursor: more ? Buffer.from(last.key).toString('base64url') : null,
  };
}
