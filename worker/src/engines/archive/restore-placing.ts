import type { OverwritePolicy } from '@xvault/shared/restore-targets.ts';
import type { SourceEntry } from '../../connectors/connector.ts';
import { TargetItemError, type TargetStat } from '../../connectors/target.ts';
import { isRootPath, parentOf, pathKey, rootPath } from './paths.ts';
import type { RestoreEntry } from './restore-entries.ts';
import type { LinkedEntry } from './restore-links.ts';
import type { MadeDirectories } from './restore-made.ts';
import { changedSince, decideFate, sameTime } from './restore-policy.ts';
import type { RestoreProgress } from './restore-progress.ts';
import { renamed } from './restore-rename.ts';
import type { SteadyTarget } from './restore-steady.ts';
import type { RestoreTally } from './restore-tally.ts';

/** An entry that is to be written, and where. */
export interface PlacedEntry extends LinkedEntry {
  /** Below the target's root. */
  readonly place: Buffer;
  readonly action: 'create' | 'overwrite' | 'rename';
}

export interface PlacingOptions {
  readonly target: SteadyTarget;
  readonly policy: OverwritePolicy;
  readonly dryRun: boolean;
  /** Null for a dry run. */
  readonly made: MadeDirectories | null;
  /** Goes into the names of what is restored beside something else. */
  readonly renameMark: string;
  /** Set when an earlier attempt of the run may have written: the time of the run's making. */
  readonly retryOfNs: bigint | null;
  readonly tally: RestoreTally;
  readonly progress: RestoreProgress;
}

/** `fresh`: nothing is in it, so nothing need be looked for. `closed`: nothing can be put in it. */
interface Directory {
  readonly path: Buffer;
  readonly state: 'fresh' | 'there' | 'closed';
}

/**
 * Decides what becomes of each entry, and makes the directories. Entries may be placed several at a time, as long as a
 * directory comes before what it holds; one that never comes is made all the same.
 */
export class Placing {
  readonly #options: PlacingOptions;
  readonly #directories = new Map<string, Promise<Directory>>();
  readonly #finish: SourceEntry[] = [];
  /** Where an earlier attempt has written the first names of hard links. */
  readonly doneBefore = new Map<string, Buffer>();

  constructor(options: PlacingOptions) {
    this.#options = options;
  }

  /** Null when nothing is to be written: done, left alone or impossible. */
  place(entry: LinkedEntry): Promise<PlacedEntry | null> {
    if (entry.member.type !== 'directory') return this.#placeOther(entry);
    const placing = this.#placeDirectory(entry);
    this.#know(entry.member.path, placing);
    return placing.then(() => null);
  }

  /** Directories that still need their modes and times, deepest first; those of one depth together. */
  *unfinished(): Generator<SourceEntry[]> {
    const byDepth = Map.groupBy(this.#finish, ({ path }) => depthOf(path));
    for (const depth of [...byDepth.keys()].sort((a, b) => b - a)) yield byDepth.get(depth) ?? [];
  }

  async #placeOther(entry: LinkedEntry): Promise<PlacedEntry | null> {
    const { tally, progress, target, policy, renameMark } = this.#options;
    const { member } = entry;
    const parent = await this.#directory(parentOf(member.path));
    if (parent.state === 'closed') return this.#failed(entry, null);
    if (member.type === 'symlink' && !target.abilities.symlinks) {
      return this.#failed(entry, 'the target takes no symbolic links');
    }
    try {
      const own = inside(parent.path, member.path);
      const there = await this.#look(parent, own);
      if (this.#isDone(entry, there)) return this.#doneBefore(entry, own);
      const fate = decideFate(policy, member, there);
      if (fate.action === 'fail') return this.#failed(entry, fate.reason);
      if (fate.action === 'skip') return this.#skipped(entry);
      if (fate.action !== 'rename') return { ...entry, place: own, action: fate.action };
      const beside = renamed(own, renameMark);
      if (this.#isDone(entry, await this.#look(parent, beside))) return this.#doneBefore(entry, beside);
      return { ...entry, place: beside, action: 'rename' };
    } catch (error) {
      if (!(error instanceof TargetItemError)) throw error;
      tally.fault(member, error.message);
      progress.skipped(member);
      return null;
    }
  }

  async #placeDirectory(entry: RestoreEntry): Promise<Directory> {
    const { member } = entry;
    const parent = isRootPath(member.path) ? null : await this.#directory(parentOf(member.path));
    if (parent?.state === 'closed') return this.#closed(entry, null);
    const own = parent === null ? rootPath : inside(parent.path, member.path);
    try {
      return await this.#enter(entry, parent, own);
    } catch (error) {
      if (!(error instanceof TargetItemError)) throw error;
      this.#options.tally.fault(member, error.message);
      return { path: own, state: 'closed' };
    }
  }

  async #enter(entry: RestoreEntry, parent: Directory | null, own: Buffer): Promise<Directory> {
    const { policy, tally, renameMark, made } = this.#options;
    const there = await this.#look(parent, own);
    const fate = decideFate(policy, entry.member, there);
    switch (fate.action) {
      case 'create':
      case 'overwrite':
        await this.#make(entry, own);
        tally.done('create', entry.member);
        return { path: own, state: 'fresh' };
      case 'skip':
        // The root was named by the customer, who did not ask for another mode of it; of an implied one none is known.
        if (made?.has(own) || (policy === 'always' && parent !== null && entry.isImplied !== true)) {
          this.#finishLater(entry, own);
        }
        tally.done('skip', entry.member);
        return { path: own, state: 'there' };
      case 'rename': {
        const beside = renamed(own, renameMark);
        const isThere = (await this.#look(parent, beside)) !== null;
        await this.#make(entry, beside);
        tally.done('rename', entry.member, beside);
        return { path: beside, state: isThere ? 'there' : 'fresh' };
      }
      case 'fail':
        return this.#closed(entry, fate.reason);
    }
  }

  async #make(entry: RestoreEntry, path: Buffer): Promise<void> {
    const { target, made, dryRun } = this.#options;
    if (dryRun) return;
    await made?.add(path);
    await target.do((session) => session.makeDirectory(path));
    this.#finishLater(entry, path);
  }

  #finishLater({ member }: RestoreEntry, path: Buffer): void {
    if (!this.#options.dryRun) this.#finish.push(asSourceEntry(member, path));
  }

  /** The directory that a path of the snapshot lies in; one that the snapshot does not list is made with ordinary rights. */
  #directory(path: Buffer): Promise<Directory> {
    const known = this.#directories.get(pathKey(path));
    if (known !== undefined) return known;
    const placing = this.#placeDirectory(unlisted(path));
    this.#know(path, placing);
    return placing;
  }

  #know(path: Buffer, placing: Promise<Directory>): void {
    placing.catch(() => undefined);
    this.#directories.set(pathKey(path), placing);
  }

  async #look(parent: Directory | null, path: Buffer): Promise<TargetStat | null> {
    if (parent?.state === 'fresh') return null;
    return this.#options.target.do((session) => session.stat(path));
  }

  /** Whether an earlier attempt of this run has written it, as far as can be told without reading it. */
  #isDone({ member }: RestoreEntry, there: TargetStat | null): boolean {
    const { retryOfNs, target } = this.#options;
    if (retryOfNs === null || there === null || there.mtimeNs === null) return false;
    if (member.type === 'symlink') return there.type === 'symlink' && sameTime(member.mtimeNs, there.mtimeNs);
    if (there.type !== 'file' || there.sizeBytes !== member.sizeBytes) return false;
    return target.abilities.mtimes ? sameTime(member.mtimeNs, there.mtimeNs) : changedSince(retryOfNs, there.mtimeNs);
  }

  #doneBefore(entry: RestoreEntry, place: Buffer): null {
    if (entry.isLinked) this.doneBefore.set(pathKey(entry.member.path), place);
    return this.#skipped(entry);
  }

  #skipped(entry: RestoreEntry): null {
    this.#options.tally.done('skip', entry.member);
    this.#options.progress.skipped(entry.member);
    return null;
  }

  #failed(entry: RestoreEntry, detail: string | null): null {
    this.#options.tally.failed(entry.member, detail);
    this.#options.progress.skipped(entry.member);
    return null;
  }

  #closed(entry: RestoreEntry, detail: string | null): Directory {
    this.#options.tally.failed(entry.member, detail);
    return { path: entry.member.path, state: 'closed' };
  }
}

export function asSourceEntry(member: RestoreEntry['member'], path: Buffer): SourceEntry {
  const { sizeBytes, mode, uid, gid, mtimeNs, linkTarget } = member;
  const type = member.type === 'hardlink' ? 'file' : member.type;
  return { path, type, sizeBytes, mode, uid, gid, mtimeNs, ...(linkTarget !== null && { linkTarget }) };
}

function inside(parent: Buffer, path: Buffer): Buffer {
  const name = path.subarray(path.lastIndexOf(0x2f) + 1);
  return isRootPath(parent) ? name : Buffer.concat([parent, Buffer.from('/'), name]);
}

function depthOf(path: Buffer): number {
  if (isRootPath(path)) return 0;
  let depth = 1;
  for (const byte of path) if (byte === 0x2f) depth += 1;
  return depth;
}

function unlisted(path: Buffer): RestoreEntry {
  const mtimeNs = BigInt(Date.now()) * 1_000_000n;
  const ids = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
  const member = { path, type: 'directory', sizeBytes: 0, mode: 0o755, ...ids, mtimeNs, linkTarget: null } as const;
  return { member, content: null, isLinked: false, isImplied: true };
}
