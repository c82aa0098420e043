import { type FileHandle, mkdir, open, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf } from '../../storage/local-fs-sync.ts';
import { pathKey } from './paths.ts';

const keptMs = 86_400_000;

/**
 * The directories that a run has made at its target, noted before each is made: a later attempt must still give them their
 * modes and times, and must leave alone those that were the customer's.
 */
export class MadeDirectories {
  readonly #file: string;
  readonly #known: ReadonlySet<string>;
  #handle: FileHandle | null = null;
  #writing: Promise<void> = Promise.resolve();

  private constructor(file: string, known: ReadonlySet<string>) {
    this.#file = file;
    this.#known = known;
  }

  /** `root` is a directory of the worker's own. */
  static async open(root: string, runId: string): Promise<MadeDirectories> {
    await mkdir(root, { recursive: true, mode: 0o700 });
    const file = join(root, `${runId}.made`);
    const lines = (await readIfThere(file)).split('\n').slice(0, -1);
    const keys = lines.map((line) => pathKey(Buffer.from(line, 'base64')));
    return new MadeDirectories(file, new Set(keys));
  }

  /** Removes the notes of runs that have not written any for a day. */
  static async sweep(root: string, nowMs: number): Promise<void> {
    for (const name of await readdir(root).catch(() => [])) {
      if (!name.endsWith('.made')) continue;
      const { mtimeMs } = await stat(join(root, name));
      if (nowMs - mtimeMs > keptMs) await rm(join(root, name), { force: true });
    }
  }

  /** By an attempt before this one. */
  has(path: Buffer): boolean {
    return this.#known.has(pathKey(path));
  }

  async add(path: Buffer): Promise<void> {
    const line = `${path.toString('base64')}\n`;
    this.#writing = this.#writing.then(async () => {
      this.#handle ??= await open(this.#file, 'a', 0o600);
      await this.#handle.appendFile(line);
    });
    await this.#writing;
  }

  /** The run is over, or this attempt of it. */
  async close(isOver: boolean): Promise<void> {
    await this.#handle?.close();
    this.#handle = null;
    if (isOver) await rm(this.#file, { force: true });
  }
}

async function readIfThere(file: string): Promise<string> {
  try {
    return await readFile(file, 'latin1');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return '';
    throw error;
  }
}
