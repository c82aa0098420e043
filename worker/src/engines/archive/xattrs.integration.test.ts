import { link, mkdir, readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { ageCommandDecrypt, mixedBytes, never, runProgram } from '../../artifact/codec.test-kit.ts';
import { snapshotFiles } from '../../storage/storage.ts';
import { findXattrs, posixAcl, setXattr, setXattrs } from '../../testing/xattrs.ts';
import { workbench } from './backup.test-kit.ts';
import { restoreToDirectory } from './restore-directory.ts';
import { artifactOrigin } from './restore-origin.ts';

const MiB = 1024 * 1024;
const isRoot = process.getuid?.() === 0;
/** A capability as the kernel has it: version 2, cap_net_bind_service, effective. */
const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');

afterEach(() => vi.unstubAllEnvs());

/** A tree in which some of everything has attributes, and the paths of those in the order of the index. */
async function decorate(source: string): Promise<void> {
  await mkdir(join(source, 'd/inner'), { recursive: true });
  await writeFile(join(source, 'd/plain'), 'plain');
  await writeFile(join(source, 'd/small'), 'small');
  await writeFile(join(source, 'empty'), '');
  await writeFile(join(source, 'large'), mixedBytes(6 * MiB));
  await writeFile(join(source, 'holes'), 'data');
  await truncate(join(source, 'holes'), 300_000);
  await link(join(source, 'd/small'), join(source, 'second name'));
  await symlink('d/small', join(source, 'symlink'));
  await setXattr(join(source, 'd/small'), 'user.any bytes=50%', Buffer.from([0, 10, 0x3d, 0xff]));
  await setXattr(join(source, 'd/small'), 'user.empty', Buffer.alloc(0));
  await setXattr(join(source, 'd/small'), 'system.posix_acl_access', posixAcl(4711));
  await setXattr(join(source, 'd/inner'), 'system.posix_acl_default', posixAcl(4712));
  await setXattr(join(source, 'd'), 'user.directory', Buffer.from('d'));
  await setXattr(join(source, 'empty'), 'user.long', Buffer.alloc(3000, 'x'));
  await setXattr(join(source, 'large'), 'user.large', Buffer.from('l'));
  await setXattr(join(source, 'holes'), 'user.holes', Buffer.from('h'));
  if (isRoot) await setXattr(join(source, 'd/plain'), 'security.capability', capability);
}

test('extended attributes are in the tar as GNU tar has them, and their number in the index', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  await decorate(bench.source);

  await bench.backup();

  const entries = await bench.entries();
  const counts = entries.flatMap(({ path, xattrCount }) => (xattrCount === undefined ? [] : [[`${path}`, xattrCount]]));
  expect(counts).toEqual([
    ['d', 1],
    ['d/inner', 1],
    ...(isRoot ? [['d/plain', 1]] : []),
    ['d/small', 3],
    ['empty', 1],
    ['holes', 1],
    ['large', 1],
  ]);
  const out = join(bench.folder.path, 'out');
  await mkdir(out);
  const stored = await readFile(join(bench.snapshot, snapshotFiles.artifact));
  const tar = await runProgram('zstd', ['-d', '-c'], await ageCommandDecrypt(stored, bench.identity));
  const attributes = ['--xattrs', '--xattrs-include=*'];
  await runProgram('tar', ['-x', '-p', ...attributes, '--warning=no-timestamp', '-f', '-', '-C', out], tar);
  expect(await findXattrs(out)).toEqual(await findXattrs(bench.source));
});

test('a restore gives them back, capabilities only where setuid bits are kept, and validation reads them', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  await decorate(bench.source);
  const result = await bench.backup();
  expect(await bench.validate(result)).toMatchObject({ verdict: 'success', differing: [] });
  const before = await findXattrs(bench.source);
  const reader = await bench.open();
  const restore = async (name: string, allowSetuid: boolean, paths: string[] | null = null) => {
    const targetPath = join(bench.folder.path, name);
    const allowedRoots = [bench.folder.path];
    const ids = { runId: name, epoch: 1, signal: never };
    await restoreToDirectory({ origin: artifactOrigin(reader, paths), targetPath, allowedRoots, allowSetuid, ...ids });
    return findXattrs(targetPath);
  };
  expect(await restore('all', true)).toEqual(before);
  expect(await restore('safe', false)).toEqual(before.filter(([, name]) => name !== 'security.capability'));
  expect(await restore('some', false, ['second name', 'large'])).toEqual(
    before.filter(([path]) => path === 'second name' || path === 'large'),
  );
  await reader.close();
});

test('what is too much to be kept is told of each file and directory, and the rest is kept', async () => {
  // Other file systems take less than a backup does.
  vi.stubEnv('TMPDIR', '/dev/shm');
  const bench = await workbench();
  await using _folder = bench.folder;
  const { source } = bench;
  await mkdir(join(source, 'directory'));
  for (const [name, sizeBytes] of [
    ['holes', 0],
    ['large', 6 * MiB],
    ['small', 5],
  ] as const) {
    await writeFile(join(source, name), mixedBytes(sizeBytes));
  }
  await truncate(join(source, 'holes'), 300_000);
  for (const name of ['directory', 'holes', 'large', 'small']) await setXattrs(join(source, name), 20, 10, 65_536);
  await writeFile(join(source, 'names'), 'so many that Linux does not list them');
  await setXattrs(join(source, 'names'), 300, 250, 1);

  const result = await bench.backup();

  const told = ['directory', 'holes', 'large', 'names', 'small'];
  expect(bench.warnings.sort()).toEqual(told.map((path) => `ITEM_ATTRIBUTES_LEFT_OUT ${path}`));
  expect(result.warningCount).toBe(told.length);
  const counts = (await bench.entries()).map(({ path, xattrCount }) => [`${path}`, xattrCount]);
  expect(counts).toEqual([
    ['.', undefined],
    ['directory', 15],
    ['holes', 15],
    ['large', 15],
    ['names', undefined],
    ['small', 15],
  ]);
  expect(await bench.validate(result)).toMatchObject({ verdict: 'success', differing: [] });
});
