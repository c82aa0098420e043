import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isSkipped, type ListOptions } from '../../connectors/connector.ts';
import { createLocalConnector } from '../../connectors/local/connector.ts';
import { workbench } from './backup.test-kit.ts';
import { type FilterOptions, filteredSession } from './filter.ts';
import { sessionWith } from './session-with.ts';

const { signal } = new AbortController();
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xvault-filtered-'));
  for (const path of ['var/log', 'var/www/html', 'var/www/cache/deep', 'etc', 'empty']) {
    await mkdir(join(folder, path), { recursive: true });
  }
  await Promise.all(
    Object.entries({
      'var/www/html/a.php': 10,
      'var/www/html/big': 5000,
      'var/www/cache/deep/x': 7,
      'etc/a.php': 3,
      top: 4,
    }).map(([path, bytes]) => writeFile(join(folder, path), Buffer.alloc(bytes))),
  );
  execFileSync('mkfifo', [join(folder, 'var/www/cache/pipe'), join(folder, 'etc/pipe')]);
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function listed(options: Partial<FilterOptions>) {
  const session = await createLocalConnector({ allowedRoots: [folder] }).connect({ path: folder }, {}, signal);
  const asked: ListOptions[] = [];
  const spied = sessionWith(session, {
    list: (listing) => {
      asked.push(listing);
      return session.list(listing);
    },
  });
  const filtered = filteredSession(spied, {
    include: [],
    exclude: [],
    maxFileBytes: null,
    followSymlinks: false,
    ...options,
  });
  const paths: string[] = [];
  for await (const item of filtered.session.list({ oneFileSystem: false, signal })) {
    paths.push(`${isSkipped(item) ? '! ' : ''}${item.path}`);
  }
  const measure = await filtered.session.measure({ oneFileSystem: false, signal });
  await filtered.session.close();
  return { paths, measure, leftOut: filtered.leftOut, asked };
}

test('without options it is the session as it was', async () => {
  const session = await createLocalConnector({ allowedRoots: [folder] }).connect({ path: folder }, {}, signal);
  const none = { include: [], exclude: [], maxFileBytes: null, followSymlinks: false };
  expect(filteredSession(session, none).session).toBe(session);
  await session.close();
});

test('what is excluded is left out with all below it, warnings included', async () => {
  const { paths, measure, asked } = await listed({ exclude: ['cache/', '/etc'] });
  expect(paths).toEqual([
    '.',
    'empty',
    'top',
    'var',
    'var/log',
    'var/www',
    'var/www/html',
    'var/www/html/a.php',
    'var/www/html/big',
  ]);
  expect(measure).toEqual({ fileCount: 3, totalBytes: 5014 });
  expect(asked[0]?.filter?.patterns.exclude).toEqual(['cache/', '/etc']);
});

test('of what is included the directories above come along, and no others', async () => {
  const { paths, measure } = await listed({ include: ['*.php', '/empty'] });
  expect(paths).toEqual(['.', 'empty', 'etc', 'etc/a.php', 'var', 'var/www', 'var/www/html', 'var/www/html/a.php']);
  expect(measure).toEqual({ fileCount: 2, totalBytes: 13 });
});

test('both together', async () => {
  const { paths } = await listed({ include: ['/var/www', '/etc'], exclude: ['deep', 'big'] });
  expect(paths).toEqual([
    ...['.', 'etc', 'etc/a.php', '! etc/pipe', 'var', 'var/www', 'var/www/cache', '! var/www/cache/pipe'],
    ...['var/www/html', 'var/www/html/a.php'],
  ]);
});

test('files over the limit are counted once, however often the source is measured', async () => {
  const { paths, leftOut, measure } = await listed({ maxFileBytes: 9 });
  expect(paths).not.toContain('var/www/html/big');
  expect(paths).toContain('etc/a.php');
  expect(leftOut).toEqual({ files: 2, bytes: 5010 });
  expect(measure).toEqual({ fileCount: 3, totalBytes: 14 });
});

test('following links is asked of the source', async () => {
  const { asked } = await listed({ followSymlinks: true });
  expect(asked[0]?.followSymlinks).toBe(true);
});

test('what is left out is in no frame that the source makes itself, and what symlinks lead to is', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  const beside = join(bench.folder.path, 'beside');
  await mkdir(join(bench.source, 'cache/deep'), { recursive: true });
  await mkdir(join(bench.source, 'kept'));
  await mkdir(beside);
  for (const path of ['cache/deep/x', 'kept/a.log', 'kept/b']) await writeFile(join(bench.source, path), path);
  for (const name of ['large', 'just']) await writeFile(join(bench.source, name), Buffer.alloc(name.length * 1000));
  await writeFile(join(beside, 'linked'), 'beside');
  await symlink(beside, join(bench.source, 'outside'));
  await symlink('kept/b', join(bench.source, 'inside'));
  const options = { include: [], exclude: ['cache', '*.log'], maxFileBytes: 4000, followSymlinks: true };
  await bench.backup({
    wrap: (session) => filteredSession(session, { ...options, followRoots: [beside] }).session,
    options: { follow_symlinks: true },
    allowedRoots: [bench.folder.path],
  });
  const entries = await bench.entries();
  expect(entries.map(({ path, type }) => `${path} ${type}`)).toEqual([
    ...['. directory', 'inside file', 'just file', 'kept directory', 'kept/b file'],
    ...['outside directory', 'outside/linked file'],
  ]);
  expect((await bench.content(entries.at(-1))).toString()).toBe('beside');
  expect(bench.warnings).toEqual([]);
});
