import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileEntry } from '@xvault/shared/run-kinds.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import type { IndexEntry } from '../../artifact/entry.ts';
import { pathToText, textToPath } from '../../artifact/path-text.ts';
import { pathKey } from './paths.ts';

export interface ListFilesOptions {
  readonly reader: ArtifactReader;
  /** Snapshot path as text; '' is the root. */
  readonly path: string;
  /** All below the path, instead of its direct children. */
  readonly recursive: boolean;
  /** Index line to go on from: 0, or the `nextOffset` of the page before. */
  readonly offset: number;
  readonly limit: number;
  readonly signal: AbortSignal;
}

export interface FilePage {
  readonly entries: FileEntry[];
  /** Index line of the next match; null at the end. */
  readonly nextOffset: number | null;
}

/**
 * What lies in a directory of a snapshot, in the order of the index; of anything but a directory, itself. Throws NOT_FOUND when the
 * snapshot has no such path.
 */
export async function listFiles(options: ListFilesOptions): Promise<FilePage> {
  const matches = matcher(options.path, options.recursive);
  const entries: FileEntry[] = [];
  let line = -1;
  let pathSeen = options.offset > 0 || options.path === '';
  for await (const entry of options.reader.entries(options.signal)) {
    line += 1;
    if (line < options.offset) continue;
    const match = matches(entry);
    pathSeen ||= match !== 'no';
    if (match !== 'listed') continue;
    if (entries.length >= options.limit) return { entries, nextOffset: line };
    entries.push(toFileEntry(entry));
  }
  if (!pathSeen) throw new XVaultError('NOT_FOUND', { params: { path: options.path } });
  return { entries, nextOffset: null };
}

type Match = 'listed' | 'seen' | 'no';

function matcher(path: string, recursive: boolean): (entry: IndexEntry) => Match {
  const bytes = textToPath(path.replace(/\/$/, ''));
  if (bytes === undefined) throw new XVaultError('NOT_FOUND', { params: { path } });
  const base = pathKey(bytes);
  const prefix = base === '' || base === '.' ? '' : `${base}/`;
  return (entry) => {
    const key = pathKey(entry.path);
    if (key === '.') return prefix === '' ? 'seen' : 'no';
    if (key === base) return entry.type === 'directory' ? 'seen' : 'listed';
    if (!key.startsWith(prefix)) return 'no';
    return recursive || !key.includes('/', prefix.length) ? 'listed' : 'seen';
  };
}

export function toFileEntry(entry: IndexEntry): FileEntry {
  return {
    path: pathToText(entry.path),
    type: entry.type,
    size_bytes: entry.sizeBytes - entry.paddingBytes,
    mode: entry.mode.toString(8).padStart(4, '0'),
    uid: entry.uid,
    gid: entry.gid,
    mtime: formatMtime(entry.mtimeNs),
    link_target: entry.linkTarget === null ? null : pathToText(entry.linkTarget),
    sha256: entry.sha256,
  };
}

const nsPerSecond = 1_000_000_000n;
/** 9999-12-31T23:59:59Z and 0000-01-01T00:00:00Z: RFC 3339 has four digits for the year. */
const maxSeconds = 253_402_300_799n;
const minSeconds = -62_167_219_200n;

/** RFC 3339 in UTC with nine digits of fraction. Times that RFC 3339 cannot say become the nearest that it can. */
export function formatMtime(mtimeNs: bigint): string {
  const fraction = ((mtimeNs % nsPerSecond) + nsPerSecond) % nsPerSecond;
  const seconds = (mtimeNs - fraction) / nsPerSecond;
  const said = seconds > maxSeconds ? maxSeconds : seconds < minSeconds ? minSeconds : seconds;
  const whole = new Date(Number(said) * 1000).toISOString().slice(0, 19);
  return `${whole}.${String(fraction).padStart(9, '0')}Z`;
}
