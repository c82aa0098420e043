import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf } from '../../storage/local-fs-sync.ts';
import { removeTree } from './restore-extract.ts';
import { MadeDirectories } from './restore-made.ts';

const note = z.strictObject({
  /** The directory that is filled. */
  staging: z.string(),
  /** What it is renamed to when it is whole. */
  target: z.string(),
  /** `device:inode` of the staging directory, which the rename keeps; null until it is made. */
  identity: z.string().nullable(),
});
export type RestoreNote = z.infer<typeof note>;
interface Attempt {
  readonly runId: string;
  readonly epoch: number;
}

/** Notes of published restores are kept so long: their run may be tried again when its end was not heard. */
const keptMs = 86_400_000;

/**
 * What restores make outside of this worker's own folders, written down before it is made: so a later process finds what a
 * killed one left, and a later attempt knows what an earlier one has published.
 */
export class RestoreJournal {
  readonly #root: string;
  readonly #active = new Set<string>();

  constructor(root: string) {
    this.#root = root;
  }

  /** The attempt is about to make its staging directory. */
  async begin(attempt: Attempt, staging: string, target: string): Promise<void> {
    this.#active.add(nameOf(attempt));
    await this.#write(attempt, { staging, target, identity: null });
  }

  /** The staging directory is there. */
  async made(attempt: Attempt, staging: string, target: string): Promise<void> {
    await this.#write(attempt, { staging, target, identity: await identityOf(staging) });
  }

  /** The attempt is over; `isClean` when nothing of it is left. */
  async end(attempt: Attempt, isClean: boolean): Promise<void> {
    this.#active.delete(nameOf(attempt));
    if (isClean) await rm(this.#file(nameOf(attempt)), { force: true });
  }

  /** Whether an attempt of the run has published its target, whole, and it is still there. */
  async isPublished(runId: string): Promise<boolean> {
    for (const name of await this.#names()) {
      if (!name.startsWith(`${runId}-`)) continue;
      const found = await this.#read(name);
      if (found?.identity != null && found.identity === (await identityOf(found.target))) return true;
    }
    return false;
  }

  /** Removes the staging directories of attempts that no longer go on. Returns how many there were. */
  async sweep(nowMs: number): Promise<number> {
    await MadeDirectories.sweep(this.#root, nowMs);
    let removed = 0;
    for (const name of await this.#names()) {
      const found = await this.#read(name);
      if (this.#active.has(name) || found === null) continue;
      const isThere = (await identityOf(found.staging)) !== null;
      if (isThere) await removeTree(found.staging);
      if (isThere) removed += 1;
      const { mtimeMs } = await stat(this.#file(name));
      const isPublished = found.identity !== null && found.identity === (await identityOf(found.target));
      if (!isPublished || nowMs - mtimeMs > keptMs) await rm(this.#file(name), { force: true });
    }
    return removed;
  }

  async #names(): Promise<string[]> {
    try {
      return (await readdir(this.#root)).flatMap((file) => (file.endsWith('.json') ? file.slice(0, -5) : []));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return [];
      throw error;
    }
  }

  async #write(attempt: Attempt, value: RestoreNote): Promise<void> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    const file = this.#file(nameOf(attempt));
    const handle = await open(`${file}.part`, 'w', 0o600);
    try {
      await handle.writeFile(JSON.stringify(value));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(`${file}.part`, file);
  }

  /** Null when it is gone. */
  async #read(name: string): Promise<RestoreNote | null> {
    try {
      return note.parse(JSON.parse(await readFile(this.#file(name), 'utf8')));
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return null;
      throw error;
    }
  }

  #file(name: string): string {
    return join(this.#root, `${name}.json`);
  }
}

function nameOf({ runId, epoch }: Attempt): string {
  return `${runId}-${epoch}`;
}

/** Null when nothing is there. */
async function identityOf(path: string): Promise<string | null> {
  try {
    const { dev, ino } = await stat(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return null;
    throw error;
  }
}
