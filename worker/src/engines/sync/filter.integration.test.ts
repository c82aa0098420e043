import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { syncOptions } from '@xvault/shared/sync-options.ts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeSyncRunner, type SyncRunner } from './sync.test-kit.ts';

let runner: SyncRunner;
const files = [
  'a.txt',
  'a.log',
  'keep.log',
  'cache/x',
  'cache/deep/y',
  'sub/cache/z',
  'sub/a.log',
  'sub/b.txt',
  'odd/{x}.txt',
  'odd/x.txt',
];

beforeAll(async () => {
  runner = await makeSyncRunner(false);
  for (const file of files) {
    await mkdir(dirname(join(runner.source, file)), { recursive: true });
    await writeFile(join(runner.source, file), file);
  }
});
afterAll(() => runner.remove());

it.each([
  [{}, files],
  [{ exclude: ['*.log'] }, files.filter((file) => !file.endsWith('.log'))],
  [{ exclude: ['*.log', '!keep.log'] }, files.filter((file) => !file.endsWith('a.log'))],
  [{ exclude: ['cache/'] }, files.filter((file) => !/(^|\/)cache\//.test(file))],
  [{ exclude: ['/cache'] }, files.filter((file) => !file.startsWith('cache/'))],
  [{ include: ['*.txt'] }, files.filter((file) => file.endsWith('.txt'))],
  [{ include: ['/sub'], exclude: ['*.log'] }, ['sub/cache/z', 'sub/b.txt']],
  [{ exclude: ['{x}.txt'] }, files.filter((file) => file !== 'odd/{x}.txt')],
])('rclone leaves out by %j what was meant', async (patterns, left) => {
  syncOptions.parse(patterns);
  expect((await runner.list(patterns)).toSorted()).toEqual(left.toSorted());
});
