import { XVaultError } from '@xvault/shared/errors.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import type { IndexEntry } from '../../artifact/entry.ts';
import { pathToText } from '../../artifact/path-text.ts';
import { demandSafePath, isRootPath, pathKey } from './paths.ts';
import { RestoreSelection } from './restore-selection.ts';

const setIdBits = 0o6000;

/** What a restore will write, learnt from the index before anything is written. */
export interface RestorePlan {
  readonly selection: RestoreSelection;
  readonly allowSetuid: boolean;
  readonly entryCount: number;
  readonly fileCount: number;
  /** Of the regular files, at their true lengths. */
  readonly totalBytes: number;
  /** Regular files that lose setuid or setgid bits. */
  readonly setuidDropped: number;
  /** Chosen paths that are no directories for certain; nothing may lie below them. */
  readonly notDirectories: ReadonlySet<string>;
  /** First names of hard links that are not chosen themselves, though another name is: their content is needed. */
  readonly firstNames: ReadonlyMap<string, IndexEntry>;
  /** What chosen hard links are names of, chosen or not. */
  readonly linkTargets: ReadonlySet<string>;
}

/**
 * Reads the index once (twice where a chosen hard link's first name is not chosen). Memory grows with the number of links only.
 * Throws RESTORE_PATH_NOT_FOUND; ARTIFACT_CORRUPT for an index that no backup writes.
 */
export async function planRestore(
  reader: ArtifactReader,
  paths: readonly string[] | null,
  options: { readonly allowSetuid: boolean; readonly signal: AbortSignal },
): Promise<RestorePlan> {
  const selection = new RestoreSelection(paths);
  const notDirectories = new Set<string>();
  const wantedFirst = new Set<string>();
  const linkTargets = new Set<string>();
  let entryCount = 0;
  let fileCount = 0;
  let totalBytes = 0;
  let setuidDropped = 0;
  const countFile = (entry: IndexEntry): void => {
    fileCount += 1;
    totalBytes += trueSizeBytes(entry);
    if (losesSetuid(entry, options.allowSetuid)) setuidDropped += 1;
  };

  for await (const entry of reader.entries(options.signal)) {
    demandSafeEntry(entry);
    const key = pathKey(entry.path);
    const chosen = selection.choose(key);
    if (chosen === 'no') continue;
    if (chosen === 'parent' && entry.type !== 'directory') throw corrupt('no directory', entry);
    entryCount += 1;
    if (entry.type === 'file') countFile(entry);
    if (entry.type === 'symlink' || entry.type === 'hardlink') notDirectories.add(key);
    if (entry.type === 'hardlink' && entry.linkTarget !== null) {
      const target = pathKey(entry.linkTarget);
      linkTargets.add(target);
      if (selection.choose(target) !== 'chosen') wantedFirst.add(target);
    }
  }
  selection.demandAllSeen();
  const firstNames = await findFirstNames(reader, wantedFirst, options.signal);
  for (const entry of firstNames.values()) if (entry.type === 'file') countFile(entry);
  const counts = { entryCount, fileCount, totalBytes, setuidDropped };
  return { selection, allowSetuid: options.allowSetuid, ...counts, notDirectories, firstNames, linkTargets };
}

/** Without the zeros that stand for what the file lost while it was backed up. */
export function trueSizeBytes(entry: IndexEntry): number {
  return entry.sizeBytes - entry.paddingBytes;
}

/** The mode to restore. */
export function restoredMode(entry: IndexEntry, allowSetuid: boolean): number {
  return losesSetuid(entry, allowSetuid) ? entry.mode & ~setIdBits : entry.mode;
}

function losesSetuid(entry: IndexEntry, allowSetuid: boolean): boolean {
  return !allowSetuid && entry.type === 'file' && (entry.mode & setIdBits) !== 0;
}

async function findFirstNames(
  reader: ArtifactReader,
  wanted: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Map<string, IndexEntry>> {
  const found = new Map<string, IndexEntry>();
  if (wanted.size === 0) return found;
  for await (const entry of reader.entries(signal)) {
    const key = pathKey(entry.path);
    if (!wanted.has(key)) continue;
    if (entry.type !== 'file' && entry.type !== 'symlink') throw corrupt('not the first name of hard links', entry);
    found.set(key, entry);
  }
  for (const key of wanted) {
    if (!found.has(key)) {
      const path = pathToText(Buffer.from(key, 'latin1'));
      throw new XVaultError('ARTIFACT_CORRUPT', { detail: `a hard link's first name is missing: ${path}` });
    }
  }
  return found;
}

function demandSafeEntry(entry: IndexEntry): void {
  demandSafePath(entry.path);
  if (isRootPath(entry.path) && entry.type !== 'directory') throw corrupt('the root is no directory', entry);
  if (entry.type !== 'symlink' && entry.type !== 'hardlink') return;
  if (entry.linkTarget === null || entry.linkTarget.length === 0 || entry.linkTarget.includes(0)) {
    throw corrupt('no usable link target', entry);
  }
  // A symlink may point anywhere: it is only a text. A hard link must stay among the restored names.
  if (entry.type === 'hardlink') demandSafePath(entry.linkTarget);
}

export function corrupt(what: string, entry: { readonly path: Buffer }): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail: `${what}: ${pathToText(entry.path)}` });
}
