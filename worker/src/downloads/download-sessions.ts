import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const keyBytes = 32;

/**
 * What whoever claimed a link gets in its place: it opens that one export for a while, so that a download that broke off can be gone
 * on with. Nothing of it is kept but the key that signs it, which outlives the process.
 */
export class DownloadSessions {
  readonly #key: Buffer;

  private constructor(key: Buffer) {
    this.#key = key;
  }

  /** `directory` is one of the worker's own. */
  static async open(directory: string): Promise<DownloadSessions> {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, 'download-key');
    try {
      const handle = await open(path, 'wx', 0o600);
      try {
        await handle.writeFile(randomBytes(keyBytes).toString('base64'));
        await handle.sync();
      } finally {
        await handle.close();
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const key = Buffer.from(await readFile(path, 'latin1'), 'base64');
    // Half-written by a process that was killed: who holds a session asks for another link.
    return new DownloadSessions(key.length === keyBytes ? key : randomBytes(keyBytes));
  }

  make(exportId: string, endsAtMs: number): string {
    return `${endsAtMs}.${this.#sign(exportId, endsAtMs).toString('base64url')}`;
  }

  isValid(exportId: string, token: string, nowMs: number): boolean {
    const found = /^(\d{1,15})\.([A-Za-z0-9_-]{43})$/.exec(token);
    if (found === null || Number(found[1]) <= nowMs) return false;
    return timingSafeEqual(Buffer.from(found[2] ?? '', 'base64url'), this.#sign(exportId, Number(found[1])));
  }

  #sign(exportId: string, endsAtMs: number): Buffer {
    return createHmac('sha256', this.#key).update(`${exportId}.${endsAtMs}`).digest();
  }
}
