import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { destinationConnection } from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';

const expiryFile = '.expires-at';
const bucketFile = '.bucket.json';

/** Where an export is in a bucket, and what it takes to get there; the key to it stays sealed. */
export const exportPlace = z.strictObject({
  object_key: z.string(),
  destination: destinationConnection,
  destination_secret_sealed: z.string().nullable(),
});
export type ExportPlace = z.infer<typeof exportPlace>;

/** The directory of exports: `<root>/<export_id>/<file>`, each with the time after which it goes. */
export class ExportShelf {
  readonly root: string;
  readonly #removeObjects: (place: ExportPlace) => Promise<void>;

  /** @param removeObjects removes an export from a bucket; that there is nothing left is success. */
  constructor(root: string, removeObjects: (place: ExportPlace) => Promise<void>) {
    this.root = root;
    this.#removeObjects = removeObjects;
  }

  /** Makes the directory of one export and notes its expiry before any byte is written. */
  async prepare(exportId: string, expiresAt: string): Promise<string> {
    const directory = this.#directory(exportId);
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await writeFile(join(directory, expiryFile), `${expiresAt}\n`, { mode: 0o600 });
    return directory;
  }

  /** Notes that the export's file goes to a bucket, before any byte is written. */
  async noteBucket(exportId: string, place: ExportPlace): Promise<void> {
    await writeFile(join(this.#directory(exportId), bucketFile), JSON.stringify(place), { mode: 0o600 });
  }

  async remove(exportId: string): Promise<void> {
    const place = await this.#bucketOf(exportId);
    if (place !== null) await this.#removeObjects(place);
    await rm(this.#directory(exportId), { recursive: true, force: true });
  }

  /** Name of a finished export's file. Throws EXPORT_EXPIRED when there is none. */
  async fileName(exportId: string): Promise<string> {
    const names = await readdir(this.#directory(exportId)).catch(() => []);
    const name = names.find((found) => !found.startsWith('.') && !isPart(found));
    if (name === undefined) throw new XVaultError('EXPORT_EXPIRED');
    return name;
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
    const failures: unknown[] = [];
    for (const name of await readdir(this.root)) {
      if (!idSchema.safeParse(name).success) continue;
      if (nowMs < (await this.#expiryMs(name))) continue;
      try {
        await this.remove(name);
        removed += 1;
      } catch (error) {
        failures.push(error);
      }
    }
    // The others must not wait for a bucket that is away.
    if (failures.length > 0) throw new AggregateError(failures, `${failures.length} exports could not be removed`);
    return removed;
  }

  /** Removes half-written files. Only for a moment at which no export is being made. */
  async removeParts(): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    for (const path of await readdir(this.root, { recursive: true })) {
      if (isPart(path)) await rm(join(this.root, path), { force: true });
    }
  }

  async #bucketOf(exportId: string): Promise<ExportPlace | null> {
    try {
      return exportPlace.parse(JSON.parse(await readFile(join(this.#directory(exportId), bucketFile), 'utf8')));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw error;
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

function isPart(name: string): boolean {
  return /\.part-\d+$/.test(name);
}
