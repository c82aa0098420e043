import { statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';

const gibibyte = 2 ** 30;

/** Throws where the folder for temporary files has less room. */
export async function demandDisk(bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(tmpdir());
  if (bavail * bsize >= bytes) return;
  throw new Error(`this takes ${Math.ceil(bytes / gibibyte)} GiB of disk in ${tmpdir()}; give a smaller --gib`);
}
