import { mkdir, statfs } from 'node:fs/promises';
import { run } from '@xvault/shared/testing/run.ts';
import { until } from '@xvault/shared/testing/until.ts';

/** Less than any backup needs. */
const roomLeftBytes = 65_536;

/** A file system of its own that can be made full at once. */
export interface SmallVolume {
  readonly path: string;
  /** Leaves no more room than what is taken. */
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
  const resize = (bytes: number) => run('mount', ['-o', `remount,size=${bytes}`, path]);
  return {
    path,
    async fill() {
      // Refused while more is in use than was a moment ago: then again.
      await until(`${path} is full`, async () => {
        const { blocks, bfree, bsize } = await statfs(path);
        return resize((blocks - bfree) * bsize + roomLeftBytes).then(
          () => true,
          () => false,
        );
      });
    },
    free: async () => {
      await resize(sizeBytes);
    },
    unmount: async () => {
      await run('umount', ['--lazy', path]);
    },
  };
}
