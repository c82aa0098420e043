import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { makeSyncRunner, type SyncRunner } from './sync.test-kit.ts';

let runner: SyncRunner;
const cached = ['1', '2', '3', '4', '5', '6'];

beforeAll(async () => {
  runner = await makeSyncRunner(false);
  await mkdir(join(runner.source, 'cache'));
  for (const name of [...cached.map((each) => `cache/${each}`), 'a', 'b']) {
    await writeFile(join(runner.source, name), name);
  }
});
afterAll(() => runner.remove());

it('lets a new pattern leave out most of the objects, and still holds what is lost beside it', async () => {
  const first = await runner.sync({ max_delete_percent: 50 });
  const second = await runner.sync({ max_delete_percent: 50, exclude: ['cache/'] });
  expect(second).toMatchObject({ objectCount: 2, failed: [] });
  await runner.restore(second.version, join(runner.root, 'second'));
  expect((await readdir(join(runner.root, 'second'))).sort()).toEqual(['a', 'b']);
  await runner.restore(first.version, join(runner.root, 'first'));
  expect((await readdir(join(runner.root, 'first', 'cache'))).sort()).toEqual(cached);

  // Of the two that are compared more goes than may.
  await rm(join(runner.source, 'b'));
  await expect(runner.sync({ max_delete_percent: 40, exclude: ['cache/'] })).rejects.toMatchObject({
    code: 'SYNC_DELETE_GUARD',
    params: { deletes: 1, objects: 2, allowed: 0 },
  });
  await expect(runner.sync({ max_delete_percent: 100, exclude: ['*'] })).rejects.toMatchObject({
    code: 'SYNC_DELETE_GUARD',
  });
  await rm(join(runner.source, 'a'));
  await expect(runner.sync({ max_delete_percent: 100, exclude: ['cache/'] })).rejects.toMatchObject({
    code: 'SYNC_DELETE_GUARD',
  });
});
