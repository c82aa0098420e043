import { type FileHandle, link } from 'node:fs/promises';
import type { TarMember } from '../../artifact/tar.ts';
import { isRootPath, parentOf, pathKey, rootPath } from './paths.ts';
import { anchorKey, fdPath, openBelow } from './restore-anchors.ts';
import type { RestoreEntry } from './restore-entries.ts';
import { extractTar } from './restore-extract.ts';

/** Makes the chosen entries anew for each pass. */
export type EntrySource = () => AsyncIterable<RestoreEntry>;
/** Entries with their contents, as a tar stream. */
export type TarMaker = (entries: AsyncIterable<RestoreEntry>) => AsyncIterable<Buffer>;

export interface DeepRestore {
  readonly staging: FileHandle;
  readonly entries: EntrySource;
  readonly tar: TarMaker;
  /** Keys of the directories that deep paths are unpacked from. */
  readonly anchors: ReadonlySet<string>;
  readonly signal: AbortSignal;
}

/** Whether an entry is unpacked with its own anchor's stream; a hard link from one anchor to another is not. */
function belongsTo(anchor: string | null, member: TarMember): boolean {
  return anchorKey(member.path) === anchor && !crossesAnchors(member);
}

export function crossesAnchors({ type, path, linkTarget }: TarMember): boolean {
  return type === 'hardlink' && linkTarget !== null && anchorKey(path) !== anchorKey(linkTarget);
}

/** What can be named from the root. */
export async function* shallowEntries(entries: AsyncIterable<RestoreEntry>): AsyncGenerator<RestoreEntry> {
  for await (const entry of entries) if (belongsTo(null, entry.member)) yield entry;
}

/** Unpacks what {@link shallowEntries} left out: a pass for each anchor, outer ones first, then the links between them. */
export async function extractDeep(restore: DeepRestore): Promise<void> {
  const anchors = [...restore.anchors].sort((a, b) => a.length - b.length);
  for (const anchor of anchors) {
    await extractInto(restore, Buffer.from(anchor, 'latin1'), anchoredEntries(restore.entries(), anchor));
  }
  const touched = await linkAcross(restore);
  for (const [key, path] of touched) await extractInto(restore, path, onlyDirectory(restore.entries(), key));
}

async function extractInto(restore: DeepRestore, path: Buffer, entries: AsyncIterable<RestoreEntry>): Promise<void> {
  const directory = await openBelow(restore.staging, path);
  try {
    await makeWritable(directory);
    await extractTar({ directoryFd: directory.fd, tar: restore.tar(entries), signal: restore.signal });
  } finally {
    await directory.close();
  }
}

/** For those who are not root; the directory's own entry, which comes last, gives it back its mode and mtime. */
async function makeWritable(directory: FileHandle): Promise<void> {
  if (process.getuid?.() !== 0) await directory.chmod(0o700);
}

/** The anchor itself as `.`, and what belongs to it by its name below the anchor. */
async function* anchoredEntries(entries: AsyncIterable<RestoreEntry>, anchor: string): AsyncGenerator<RestoreEntry> {
  for await (const entry of entries) {
    const { member } = entry;
    if (pathKey(member.path) === anchor) yield { ...entry, member: { ...member, path: rootPath } };
    else if (belongsTo(anchor, member)) yield { ...entry, member: belowAnchor(member, anchor) };
  }
}

function belowAnchor(member: TarMember, anchor: string): TarMember {
  const cut = anchor.length + 1;
  const path = member.path.subarray(cut);
  if (member.type !== 'hardlink' || member.linkTarget === null) return { ...member, path };
  return { ...member, path, linkTarget: member.linkTarget.subarray(cut) };
}

async function* onlyDirectory(entries: AsyncIterable<RestoreEntry>, key: string): AsyncGenerator<RestoreEntry> {
  for await (const entry of entries) {
    if (pathKey(entry.member.path) === key) yield { ...entry, member: { ...entry.member, path: rootPath } };
  }
}

/** Makes the hard links between anchors; returns the directories whose mtime that changed. */
async function linkAcross(restore: DeepRestore): Promise<Map<string, Buffer>> {
  const touched = new Map<string, Buffer>();
  for await (const { member } of restore.entries()) {
    if (!crossesAnchors(member) || member.linkTarget === null) continue;
    await linkOne(restore.staging, member.linkTarget, member.path);
    const parent = parentOf(member.path);
    touched.set(pathKey(parent), parent);
  }
  return touched;
}

async function linkOne(staging: FileHandle, from: Buffer, to: Buffer): Promise<void> {
  const source = await openBelow(staging, parentOf(from));
  try {
    const target = await openBelow(staging, parentOf(to));
    try {
      await makeWritable(target);
      await link(fdPath(source, nameOf(from)), fdPath(target, nameOf(to)));
    } finally {
      await target.close();
    }
  } finally {
    await source.close();
  }
}

function nameOf(path: Buffer): Buffer {
  const parent = parentOf(path);
  return isRootPath(parent) ? path : path.subarray(parent.length + 1);
}
