import { mkdir, open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { run } from '@xvault/shared/testing/run.ts';

/** A file system of its own that can be filled. */
export interface SmallVolume {
  readonly path: string;
  /** Takes all the space there is. */
  fill(): Promise<void>;
  free(): Promise<void>;
  unmount(): Promise<void>;
}

/** Mounts a file system in memory at `path`; undefined where that is not allowed (only root of a Linux machine may). */
export async function mountSmallVolume(path: string, sizeBytes: number): Promise<SmallVolume | undefined> {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return undefined;
  await mkdir(path, { recursive: true, mode: 0o700 });
  try {
    await run('mount', ['-t', 'tmpfs', '-o', `size=${sizeBytes},mode=700`, 'tmpfs', path]);
  } catch {
    // A container's root may not mount.
    return undefined;
  }
  const filler = join(path, '.filler');
  return {
    path,
    fill: () => fillUp(path, filler),
    free: () => rm(filler, { force: true }),
    unmount: async () => {
      await run('umount', ['--lazy', path]);
    },
  };
}

async function fillUp(path: string, filler: string): Promise<void> {
  const block = Buffer.alloc(1 << 22);
  const handle = await open(filler, 'a', 0o600);
  try {
    for (;;) {
      const { bavail, bsize } = await statfs(path);
      if (bavail === 0) return;
      await handle.write(block, 0, Math.min(block.length, bavail * bsize));
    }
  } catch (error) {
    // Somebody else took the last block.
    if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
  } finally {
    await handle.close();
  }
}
