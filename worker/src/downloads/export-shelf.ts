import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { idSchema } from '@xvault/shared/ids.ts';

const expiryFile = '.expires-at';

/** The directory of exports: `<root>/<export_id>/<file>`, each with the time after which it goes. */
export class ExportShelf {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /** Makes the directory of one export and notes its expiry before any byte is written. */
  async prepare(exportId: string, expiresAt: string): Promise<string> {
    const directory = this.#directory(exportId);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(join(directory, expiryFile), `${expiresAt}\n`, { mode: 0o600 });
    return directory;
  }

  async remove(exportId: string): Promise<void> {
    await rm(this.#directory(exportId), { recursive: true, force: true });
  }

  /** Path of an export's file; `name` must be a plain file name. */
  file(exportId: string, name: string): string {
    if (name.includes('/') || name.startsWith('.')) throw new Error('not a plain file name');
    return join(this.#directory(exportId), name);
  }

  /** Removes exports past their expiry; what names no expiry goes a day after its last change. Returns how many went. */
  async sweep(nowMs: number): Promise<number> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    let removed = 0;
    for (const name of await readdir(this.root)) {
      if (!idSchema.safeParse(name).success) continue;
      if (nowMs < (await this.#expiryMs(name))) continue;
      await this.remove(name);
      removed += 1;
    }
    return removed;
  }

  /** Removes half-written files. Only for a moment at which no export is being made. */
  async removeParts(): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    for (const path of await readdir(this.root, { recursive: true })) {
      if (/\.part-\d+$/.test(path)) await rm(join(this.root, path), { force: true });
    }
  }

  #directory(exportId: string): string {
    return join(this.root, idSchema.parse(exportId));
  }

  async #expiryMs(exportId: string): Promise<number> {
    const directory = this.#directory(exportId);
    try {
      const noted = Date.parse((await readFile(join(directory, expiryFile), 'utf8')).trim());
      if (!Number.isNaN(noted)) return noted;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return (await stat(directory)).mtimeMs + 86_400_000;
  }
}
