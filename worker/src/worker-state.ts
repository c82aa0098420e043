import { mkdir, open, readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { guardFolder } from '@xvault/shared/folder-guard.ts';
import { newId } from '@xvault/shared/ids.ts';

/** What a worker keeps about itself between starts, in its data directory. */
export class WorkerState {
  readonly #directory: string;
  /** Gives the directory back to other processes. */
  readonly close: () => Promise<void>;

  private constructor(directory: string, release: () => Promise<void>) {
    this.#directory = directory;
    this.close = release;
  }

  /** Opens the data directory for this process alone; throws FolderInUse when another living process holds it. */
  static async open(directory: string): Promise<WorkerState> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return new WorkerState(directory, await guardFolder(directory));
  }

  /** The configured id, or one made at the first start. */
  async workerId(configured: string | undefined): Promise<string> {
    if (configured !== undefined) return configured;
    const kept = await this.#read('worker-id');
    if (kept !== null) return kept;
    const made = newId();
    await this.#write('worker-id', made);
    return made;
  }

  token(): Promise<string | null> {
    return this.#read('worker-token');
  }

  async keepToken(token: string): Promise<void> {
    await this.#write('worker-token', token);
  }

  async #read(name: string): Promise<string | null> {
    try {
      const text = (await readFile(join(this.#directory, name), 'utf8')).trim();
      return text === '' ? null : text;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
    }
  }

  async #write(name: string, text: string): Promise<void> {
    const path = join(this.#directory, name);
    const temporary = `${path}.part`;
    const file = await open(temporary, 'w', 0o600);
    try {
      await file.writeFile(`${text}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  }
}
