import { chown, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { describeOutcome, startChild } from '../../process/run-child.ts';
import { type TestFolder, testFolder } from './restore-test-kit.ts';

let folder: TestFolder;
let target: string;
beforeEach(async () => {
  folder = await testFolder();
  target = join(folder.path, 'target');
  await mkdir(target);
});
afterEach(() => folder.remove());

const program = join(import.meta.dirname, 'restore-test-run.ts');
const isRoot = process.getuid?.() === 0;
const ownUid = process.getuid?.() ?? 0;

async function run(file: string, args: string[]): Promise<unknown> {
  const child = startChild({ file, args, stdout: 'pipe' });
  const [output, outcome] = await Promise.all([child.stdout?.toArray(), child.outcome]);
  expect(describeOutcome(file, outcome)).toBe(`${file} ended with exit code 0`);
  return JSON.parse(Buffer.concat(output ?? []).toString());
}

it('restores as a user without rights, closed and deep directories too', async () => {
  const uid = isRoot ? 65_534 : ownUid;
  if (isRoot) for (const path of [folder.path, target]) await chown(path, uid, uid);
  expect(await run(process.execPath, [program, folder.path, String(uid)])).toEqual({
    code: 'restored',
    names: ['t'],
    described: [
      ' 40500 7 4 true',
      'closed 40000 3 2 true',
      '0-dddd 40555 0 3 true',
      'top 100644 1700000000123456789 2 true',
    ],
  });
});

it('leaves nothing behind where the disk runs out of inodes, which no look at its space foretells', async () => {
  // A mount namespace of its own: the file system is gone with the process, however it ends.
  const script = 'mount -t tmpfs -o size=64m,nr_inodes=15 tmpfs "$1/target" && exec "$2" "$3" "$1" 0';
  const namespace = isRoot ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
  const args = [...namespace, 'sh', '-c', script, 'sh', folder.path, process.execPath, program];
  expect(await run('unshare', args)).toEqual({ code: 'STORAGE_FULL', names: [], described: [] });
});

it('a place whose disk is full fails the run, keeps what is whole, and takes more once there is room', async () => {
  const program = join(import.meta.dirname, 'restore-place-test-run.ts');
  const script = 'mount -t tmpfs -o size=8m tmpfs "$1/target" && exec "$2" "$3" "$1"';
  const namespace = isRoot ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
  const args = [...namespace, 'sh', '-c', script, 'sh', folder.path, process.execPath, program];
  const some = JSON.stringify({ skip: 1, overwrite: 1 });
  expect(await run('unshare', args)).toEqual({ all: 'STORAGE_FULL', some, names: ['a small one'], isWritten: true });
});
