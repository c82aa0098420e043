import { XVaultError } from '@xvault/shared/errors.ts';
import { isSafePath, parentKeys, rootPath } from '../archive/paths.ts';
import type { Filled } from '../archive/restore-contents.ts';
import type { RestoreEntry } from '../archive/restore-entries.ts';
import { inOrder } from '../archive/restore-in-order.ts';
import type { RestoreOrigin } from '../archive/restore-origin.ts';
import type { RestorePlan } from '../archive/restore-plan.ts';
import { RestoreSelection } from '../archive/restore-selection.ts';
import { chooseObjects } from './choose-objects.ts';
import { nanosecondsOf } from './file-times.ts';
import type { Version } from './layout.ts';
import type { ManifestEntry } from './manifest.ts';
import { readContent } from './read-content.ts';
import { resolveVersion, type VersionStore } from './resolve.ts';
import { fromStandardName } from './standard-names.ts';

/** Objects up to this are read ahead, so that each does not cost a round trip of waiting; larger ones as they are asked for. */
const aheadBytes = 1024 * 1024;
const aheadObjects = 8;

/** What a destination keeps has neither mode nor owner. */
const ordinary = { uid: 0, gid: 0, linkTarget: null } as const;

/**
 * Objects of a version to restore; `paths`: objects and directories with all below them, null for all. Its plan throws
 * RESTORE_PATH_NOT_FOUND, SYNC_VERSION_BROKEN, RESTORE_FAILED when nothing of it can be a file; reading throws SYNC_VERSION_BROKEN, STORAGE_….
 */
export class VersionOrigin implements RestoreOrigin {
  readonly #store: VersionStore;
  readonly #version: Version;
  readonly #paths: readonly string[] | null;
  #entries: readonly ManifestEntry[] = [];
  #createdAt: string | null = null;
  #unfit: readonly string[] = [];
  /** Where the objects are, and where those that were read were then. */
  #placeOf = new Map<string, string>();
  readonly #readFrom = new Map<string, string>();
  #resolving: Promise<void> | null = null;

  constructor(store: VersionStore, version: Version, paths: readonly string[] | null) {
    this.#store = store;
    this.#version = version;
    this.#paths = paths;
  }

  async plan({ allowSetuid }: { readonly allowSetuid: boolean }): Promise<RestorePlan> {
    await this.#resolve();
    let entryCount = 0;
    let fileCount = 0;
    let totalBytes = 0;
    for (const { member } of this.#walk()) {
      entryCount += 1;
      if (member.type === 'file') fileCount += 1;
      totalBytes += member.sizeBytes;
    }
    return {
      selection: new RestoreSelection(null),
      allowSetuid,
      entryCount,
      fileCount,
      totalBytes,
      setuidDropped: 0,
      notDirectories: new Set(),
      firstNames: new Map(),
      linkTargets: new Set(),
    };
  }

  /** Keys of a bucket that cannot be paths, as `a//b`: they are left out. */
  get unfit(): readonly string[] {
    return this.#unfit;
  }

  async *entries(): AsyncGenerator<RestoreEntry> {
    yield* this.#walk();
  }

  async *fill<Entry extends RestoreEntry>(entries: AsyncIterable<Entry>): AsyncGenerator<Filled<Entry>> {
    yield* inOrder(entries, aheadObjects, async (entry) => {
      const { object, member } = entry;
      if (object === undefined || member.sizeBytes > aheadBytes) return { ...entry, chunks: this.contentOf(entry) };
      return { ...entry, chunks: each(await this.#readWhole(object)) };
    });
  }

  async *contentOf({ object }: RestoreEntry): AsyncGenerator<Buffer> {
    if (object === undefined) return;
    let bytes = 0;
    try {
      for await (const chunk of this.#read(object)) {
        bytes += chunk.length;
        yield chunk;
      }
    } catch (error) {
      if (!(await this.#isMoved(object, error))) throw error;
      // What was handed on cannot be taken back; another attempt reads it where it is now.
      if (bytes > 0) throw new XVaultError('STORAGE_FAILED', { detail: `${object.path} was moved`, cause: error });
      yield* this.#read(object);
    }
  }

  async moved(): Promise<RestoreEntry[]> {
    await this.#resolve();
    const moved = this.#entries.filter(({ path }) => {
      const from = this.#readFrom.get(path);
      return from !== undefined && from !== this.#placeOf.get(path);
    });
    return moved.map((entry) => this.#file(entry));
  }

  async #readWhole(object: ManifestEntry): Promise<Buffer[]> {
    try {
      return await gathered(this.#read(object));
    } catch (error) {
      if (!(await this.#isMoved(object, error))) throw error;
      return gathered(this.#read(object));
    }
  }

  #read(object: ManifestEntry): AsyncGenerator<Buffer> {
    const place = this.#placeOf.get(object.path) ?? '';
    this.#readFrom.set(object.path, place);
    return readContent(this.#store, place, object);
  }

  /** Whether another run has moved it since, which is why it could not be read. */
  async #isMoved({ path }: ManifestEntry, error: unknown): Promise<boolean> {
    if (!(error instanceof XVaultError) || error.code !== 'SYNC_VERSION_BROKEN') return false;
    const isElsewhere = () => this.#readFrom.get(path) !== this.#placeOf.get(path);
    if (isElsewhere()) return true;
    // Of those that are read at the same time, the first to notice looks for all.
    this.#resolving ??= this.#resolve().finally(() => {
      this.#resolving = null;
    });
    await this.#resolving;
    return isElsewhere();
  }

  async #resolve(): Promise<void> {
    const { manifest, places } = await resolveVersion(this.#store, this.#version);
    const chosen = chooseObjects(places, this.#paths);
    this.#createdAt = manifest.header.created_at;
    const all = Map.groupBy(
      chosen.flatMap(({ entries }) => entries),
      ({ path }) => isSafePath(nameOf(path)),
    );
    this.#entries = all.get(true) ?? [];
    this.#unfit = (all.get(false) ?? []).map(({ path }) => path);
    if (this.#entries.length === 0 && this.#unfit.length > 0) {
      throw new XVaultError('RESTORE_FAILED', { detail: 'no key of what is to be restored can be a path' });
    }
    this.#placeOf = new Map(chosen.flatMap(({ place, entries }) => entries.map(({ path }) => [path, place])));
  }

  /** Directories are known by what lies in them alone. */
  *#walk(): Generator<RestoreEntry> {
    const known = new Set<string>();
    yield this.#directory(rootPath);
    for (const entry of this.#entries) {
      const parents = [...newParents(fromStandardName(entry.path), known)];
      for (const parent of parents.reverse()) yield this.#directory(Buffer.from(parent));
      yield this.#file(entry);
    }
  }

  #directory(path: Buffer): RestoreEntry {
    const mtimeNs = nanosecondsOf(this.#createdAt);
    const member = { ...ordinary, path, type: 'directory', sizeBytes: 0, mode: 0o755, mtimeNs } as const;
    return { member, content: null, isLinked: false, isImplied: true };
  }

  #file(object: ManifestEntry): RestoreEntry {
    const path = nameOf(object.path);
    const mtimeNs = nanosecondsOf(object.mtime ?? this.#createdAt);
    const member = { ...ordinary, path, type: 'file', sizeBytes: object.size, mode: 0o644, mtimeNs } as const;
    return { member, content: null, isLinked: false, object };
  }
}

function nameOf(path: string): Buffer {
  return Buffer.from(fromStandardName(path));
}

/** Nearest first; what is known already is known with all above it. */
function* newParents(name: string, known: Set<string>): Generator<string> {
  for (const parent of parentKeys(name)) {
    if (known.has(parent)) return;
    known.add(parent);
    yield parent;
  }
}

async function gathered(chunks: AsyncIterable<Buffer>): Promise<Buffer[]> {
  const pieces: Buffer[] = [];
  for await (const piece of chunks) pieces.push(piece);
  return pieces;
}

async function* each(pieces: readonly Buffer[]): AsyncGenerator<Buffer> {
  yield* pieces;
}
