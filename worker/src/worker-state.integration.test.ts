import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { WorkerState } from './worker-state.ts';

let directory = '';
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'xvault-state-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

test('the id is made once and kept, the token is private', async () => {
  const first = await WorkerState.open(directory);
  const id = await first.workerId(undefined);
  await first.keepToken('a token');
  await first.close();
  const second = await WorkerState.open(directory);
  expect(await second.workerId(undefined)).toBe(id);
  expect(await second.workerId('configured')).toBe('configured');
  expect(await second.token()).toBe('a token');
  expect((await stat(join(directory, 'worker-token'))).mode & 0o777).toBe(0o600);
  await second.close();
});

test('two workers never use one directory at once', async () => {
  const first = await WorkerState.open(directory);
  await expect(WorkerState.open(directory)).rejects.toThrow('another process is using this folder');
  await first.close();
  await (await WorkerState.open(directory)).close();
});
