import { readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeSyncRunner, type SyncRunner, testCrypt } from './sync.test-kit.ts';

let runner: SyncRunner;
afterEach(() => runner.remove());

async function start(encrypted: boolean): Promise<void> {
  runner = await makeSyncRunner(encrypted);
  await writeFile(join(runner.source, 'a.txt'), 'a');
}

const missing = { code: 'SYNC_SENTINEL_MISSING' };

beforeEach(() => start(false));

it('a place with the sentinel of another job, or with none, is left as it is', async () => {
  await runner.sync();
  await writeFile(
    join(runner.place, 'sentinel.json'),
    '{"format":"xvault-sync","format_version":1,"job_id":"another"}',
  );
  await expect(runner.sync()).rejects.toMatchObject(missing);
  await rm(join(runner.place, 'sentinel.json'));
  await rm(join(runner.source, 'a.txt'));
  await expect(runner.sync()).rejects.toMatchObject(missing);
  expect(await readdir(join(runner.place, 'current'))).toEqual(['a.txt']);
});

it('a sentinel that was cut short at the very first is written anew; later it is not', async () => {
  await writeFile(join(runner.place, 'sentinel.json'), '');
  expect((await runner.sync()).objectCount).toBe(1);
  await truncate(join(runner.place, 'sentinel.json'), 5);
  await expect(runner.sync()).rejects.toMatchObject(missing);
});

it('another key than the place was made with removes nothing', async () => {
  await runner.remove();
  await start(true);
  await runner.sync();
  const before = await readdir(runner.place, { recursive: true });
  const crypt = { ...testCrypt, password: 'another password of the test' };
  await expect(runner.sync({}, { crypt })).rejects.toMatchObject(missing);
  expect(await readdir(runner.place, { recursive: true })).toEqual(before);
});
