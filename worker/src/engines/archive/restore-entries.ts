import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { type IndexEntry, storedBytesOf } from '../../artifact/entry.ts';
import type { TarMember } from '../../artifact/tar.ts';
import { headerBytesOf } from '../../artifact/tar-xattrs.ts';
import type { ManifestEntry } from '../sync/manifest.ts';
import { parentKeys, pathKey } from './paths.ts';
import { corrupt, type RestorePlan, restoredMode, trueSizeBytes } from './restore-plan.ts';

/** Where a file's content is in the artifact's tar stream. */
export interface StoredContent {
  readonly dataOffset: number;
  readonly storedBytes: number;
  /** How much of it is restored; the rest is padding. */
  readonly trueBytes: number;
  /** Of a file with holes: its real size; the tar holds a map and the data between the holes. */
  readonly sparseRealBytes: number | null;
  readonly sha256: string;
}

/** One thing to write: its header is made anew from the index; of that in the artifact only extended attributes are taken. */
export interface RestoreEntry {
  readonly member: TarMember;
  readonly content: StoredContent | null;
  /** Where the artifact's own headers are, which hold its extended attributes; absent where it has none. */
  readonly headers?: { readonly offset: number; readonly bytes: number; readonly keepsCapabilities: boolean };
  /** Hard links that follow may name it. */
  readonly isLinked: boolean;
  /** A directory that the snapshot knows by what lies in it alone, so that one which is there is left as it is. */
  readonly isImplied?: boolean;
  /** Of a version of the sync engine: the object that holds the content. */
  readonly object?: ManifestEntry;
}

/** The chosen entries in the order of the index. Throws ARTIFACT_CORRUPT for an entry that would lie below a link. */
export async function* restoreEntries(
  reader: ArtifactReader,
  plan: RestorePlan,
  signal: AbortSignal,
): AsyncGenerator<RestoreEntry> {
  /** First name that is not chosen → the chosen name that stands in for it. */
  const standIns = new Map<string, Buffer>();
  for await (const entry of reader.entries(signal)) {
    const key = pathKey(entry.path);
    if (plan.selection.choose(key) === 'no') continue;
    demandNotBelowLink(plan, entry, key);
    if (entry.type !== 'hardlink' && entry.type !== 'symlink' && plan.notDirectories.has(key)) {
      throw corrupt('listed twice', entry);
    }
    if (entry.type !== 'hardlink' || entry.linkTarget === null) {
      yield toRestoreEntry(entry, plan, plan.linkTargets.has(key));
      continue;
    }
    const targetKey = pathKey(entry.linkTarget);
    demandNotBelowLink(plan, entry, targetKey);
    const first = plan.firstNames.get(targetKey);
    const standIn = standIns.get(targetKey);
    if (first !== undefined && standIn === undefined) {
      standIns.set(targetKey, entry.path);
      yield toRestoreEntry({ ...first, path: entry.path }, plan, true);
    } else {
      yield toRestoreEntry({ ...entry, linkTarget: standIn ?? entry.linkTarget }, plan, false);
    }
  }
}

function toRestoreEntry(entry: IndexEntry, plan: RestorePlan, isLinked: boolean): RestoreEntry {
  const isFile = entry.type === 'file';
  const trueBytes = isFile ? trueSizeBytes(entry) : 0;
  const member: TarMember = {
    path: entry.path,
    type: entry.type,
    sizeBytes: trueBytes,
    mode: restoredMode(entry, plan.allowSetuid),
    uid: entry.uid,
    gid: entry.gid,
    mtimeNs: entry.mtimeNs,
    linkTarget: entry.linkTarget,
    // Padding cannot be taken off a map of holes: such a file is restored whole.
    ...(isFile && entry.sparseBytes !== null && entry.paddingBytes === 0 && { sparseBytes: entry.sparseBytes }),
  };
  const headers = entry.xattrCount === undefined ? {} : { headers: headersOf(entry, plan.allowSetuid) };
  if (!isFile) return { member, content: null, isLinked, ...headers };
  if (trueBytes < 0 || entry.sha256 === null) throw corrupt('no true length or no checksum', entry);
  const { dataOffset, sha256 } = entry;
  const sparseRealBytes = entry.sparseBytes === null ? null : entry.sizeBytes;
  const content = { dataOffset, storedBytes: storedBytesOf(entry), trueBytes, sparseRealBytes, sha256 };
  return { member, content, isLinked, ...headers };
}

function headersOf(entry: IndexEntry, keepsCapabilities: boolean) {
  const bytes = headerBytesOf(entry);
  if (bytes === undefined) throw corrupt('headers of an impossible size', entry);
  return { offset: entry.tarOffset, bytes, keepsCapabilities };
}

function demandNotBelowLink(plan: RestorePlan, entry: IndexEntry, key: string): void {
  if (plan.notDirectories.size === 0) return;
  for (const parent of parentKeys(key)) if (plan.notDirectories.has(parent)) throw corrupt('lies below a link', entry);
}
