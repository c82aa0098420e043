import { randomFillSync } from 'node:crypto';
import { appendFile, chmod, lchown, lutimes, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface TreeShape {
  readonly name: string;
  readonly files: number;
  readonly fileBytes: number;
  /** How often it is backed up, against the others. */
  readonly weight: number;
}

const [kib, mib] = [1024, 2 ** 20];

/** From a kilobyte to `largestBytes`. */
export function localShapes(largestBytes: number): TreeShape[] {
  return [
    { name: 'tiny', files: 1, fileBytes: kib, weight: 3 },
    { name: 'few', files: 20, fileBytes: 10 * kib, weight: 3 },
    { name: 'many', files: 400, fileBytes: 4 * kib, weight: 3 },
    { name: 'medium', files: 2, fileBytes: 3 * mib, weight: 3 },
    { name: 'mixed', files: 5, fileBytes: Math.floor(largestBytes / 50), weight: 2 },
    { name: 'large', files: 2, fileBytes: Math.floor(largestBytes / 6), weight: 3 },
    { name: 'largest', files: 1, fileBytes: largestBytes, weight: 2 },
  ];
}

export function sftpShapes(largestBytes: number): TreeShape[] {
  return [
    { name: 'sftp-few', files: 10, fileBytes: 20 * kib, weight: 3 },
    { name: 'sftp-medium', files: 5, fileBytes: 3 * mib, weight: 4 },
    { name: 'sftp-large', files: 1, fileBytes: Math.floor(largestBytes / 3), weight: 3 },
  ];
}

/** A second that every entry was changed at: SFTP knows no fractions. */
const changedAt = new Date('2026-01-02T03:04:05Z');

/** Writes a tree of random bytes; never changed afterwards, so that every snapshot of it must equal it. */
export async function writeTree(path: string, shape: TreeShape, owner?: { uid: number; gid: number }): Promise<void> {
  const made: string[] = [path];
  await mkdir(path, { recursive: true, mode: 0o755 });
  for (let number = 0; number < shape.files; number += 1) {
    const folder = join(path, `d${Math.floor(number / 50)}`);
    if (number % 50 === 0) made.push((await mkdir(folder, { recursive: true })) ?? folder);
    const file = join(folder, `file-${number}`);
    await writeRandom(file, shape.fileBytes);
    await chmod(file, number % 2 === 0 ? 0o644 : 0o600);
    made.push(file);
  }
  await mkdir(join(path, 'empty'));
  await symlink('d0/file-0', join(path, 'link'));
  made.push(join(path, 'empty'), join(path, 'link'));
  // Deepest first: making an entry changes the time of its directory.
  for (const entry of made.toReversed()) {
    if (owner !== undefined) await lchown(entry, owner.uid, owner.gid);
    await lutimes(entry, changedAt, changedAt);
  }
}

async function writeRandom(file: string, bytes: number): Promise<void> {
  const block = Buffer.alloc(Math.min(bytes, mib));
  await writeFile(file, '');
  for (let left = bytes; left > 0; left -= block.length) {
    await appendFile(file, randomFillSync(block).subarray(0, left));
  }
}
