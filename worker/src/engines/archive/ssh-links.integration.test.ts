import { randomBytes } from 'node:crypto';
import { link, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { never } from '../../artifact/codec.test-kit.ts';
import type { SourceSession } from '../../connectors/connector.ts';
import { createSshConnector } from '../../connectors/ssh/connector.ts';
import { targetOf, testSshOptions } from '../../testing/sftp-client.ts';
import { workbench } from './backup.test-kit.ts';
import { filteredSession } from './filter.ts';
import { restoreToDirectory } from './restore-directory.ts';
import { artifactOrigin } from './restore-origin.ts';
import { sessionWith } from './session-with.ts';

const largeBytes = 700_000;
let sshd: TestSshd;
beforeAll(async () => {
  sshd = await startSshd();
});
afterAll(() => sshd?.stop());

/** Files that go through tar and files that go by SFTP, each with names in several directories. */
async function makeTree(name: string): Promise<string> {
  const root = join(sshd.dataDir, name);
  await mkdir(join(root, 'a/deep'), { recursive: true });
  await mkdir(join(root, 'b'));
  await writeFile(join(root, 'a/deep/small'), 'small content');
  await writeFile(join(root, 'a/large'), randomBytes(largeBytes));
  await writeFile(join(root, 'b/alone'), randomBytes(largeBytes));
  await link(join(root, 'a/deep/small'), join(root, 'b/small too'));
  await link(join(root, 'a/deep/small'), join(root, 'small at the end'));
  await link(join(root, 'a/large'), join(root, 'b/large too'));
  await symlink('a/large', join(root, 'symlink'));
  for (const [at, path] of ['a/deep/small', 'a/large', 'b/alone', 'a/deep', 'b'].entries()) {
    await run('touch', ['-d', `2020-02-03T04:05:0${at}.12345678${at}Z`, join(root, path)]);
  }
  await run('touch', ['-h', '-d', '2001-02-03T04:05:06.789012345Z', join(root, 'symlink')]);
  return root;
}

type Bench = Awaited<ReturnType<typeof workbench>>;

async function backUp(bench: Bench, path: string, wrap: (session: SourceSession) => SourceSession = (same) => same) {
  const connector = createSshConnector(testSshOptions());
  const session = await connector.connect(targetOf(sshd, { path }), { private_key: sshd.privateKey }, never);
  try {
    return await bench.backup({ wrap: () => wrap(session) });
  } finally {
    await session.close();
  }
}

async function restore(bench: Bench): Promise<string> {
  const reader = await bench.open();
  const targetPath = join(bench.folder.path, 'restored');
  const ids = { runId: 'restored', epoch: 1, signal: never };
  const where = { targetPath, allowedRoots: [bench.folder.path] };
  await restoreToDirectory({ origin: artifactOrigin(reader, null), allowSetuid: false, ...where, ...ids });
  await reader.close();
  return targetPath;
}

test('hard links and nanoseconds of a source over SSH come back as they were', async () => {
  const root = await makeTree('whole');
  const bench = await workbench();
  await using _folder = bench.folder;
  const result = await backUp(bench, root);
  expect(bench.warnings).toEqual([]);
  expect(result.snapshot).toMatchObject({ file_count: 3, source_bytes: 2 * largeBytes + 'small content'.length });
  const kinds = (await bench.entries()).map(({ path, type }) => `${path} ${type}`);
  expect(kinds).toEqual([
    '. directory',
    'a directory',
    'a/deep directory',
    'a/deep/small file',
    'a/large file',
    'b directory',
    'b/alone file',
    'b/large too hardlink',
    'b/small too hardlink',
    'small at the end hardlink',
    'symlink symlink',
  ]);
  expect(await bench.validate(result)).toMatchObject({ verdict: 'success', differing: [] });
  expect((await compareTrees(root, await restore(bench))).differences).toEqual([]);
});

test('where the first name is left out, the next one holds the data', async () => {
  const root = await makeTree('filtered');
  const bench = await workbench();
  await using _folder = bench.folder;
  const limits = { include: [], exclude: ['/a'], maxFileBytes: null, followSymlinks: false };
  await backUp(bench, root, (session) => filteredSession(session, limits).session);
  const kinds = (await bench.entries()).map(({ path, type }) => `${path} ${type}`);
  expect(kinds).toEqual([
    '. directory',
    'b directory',
    'b/alone file',
    'b/large too file',
    'b/small too file',
    'small at the end hardlink',
    'symlink symlink',
  ]);
  const restored = await restore(bench);
  const read = (path: string) => readFile(join(restored, path));
  expect((await read('b/large too')).equals(await readFile(join(root, 'a/large')))).toBe(true);
  expect((await read('small at the end')).toString()).toBe('small content');
});

test('names that go while a backup runs: what is left of each file is stored whole', async () => {
  const root = await makeTree('changing');
  const bench = await workbench();
  await using _folder = bench.folder;
  await backUp(bench, root, (session) =>
    sessionWith(session, {
      async *list(options) {
        for await (const item of session.list(options)) {
          // Listed with all their links, and gone before they are read.
          if (item.path.toString() === 'a/deep/small') await rm(join(root, 'a/deep/small'));
          if (item.path.toString() === 'a/large') await rm(join(root, 'a/large'));
          yield item;
        }
      },
    }),
  );
  expect(bench.warnings.sort()).toEqual(['ITEM_VANISHED a/deep/small', 'ITEM_VANISHED a/large']);
  const entries = await bench.entries();
  const kindOf = (wanted: string) => entries.find(({ path }) => path.toString() === wanted)?.type;
  expect(kindOf('b/large too')).toBe('file');
  expect([kindOf('b/small too'), kindOf('small at the end')]).toEqual(['file', 'hardlink']);
  await rm(join(root, 'a'), { recursive: true });
  const restored = await restore(bench);
  await rm(join(restored, 'a'), { recursive: true });
  expect((await compareTrees(root, restored)).differences).toEqual([]);
});
