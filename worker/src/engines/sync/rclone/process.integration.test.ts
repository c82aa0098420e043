import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { z } from 'zod';
import { runJob } from '../job.ts';
import type { LogLine } from './log-line.ts';
import { type Rclone, startRclone } from './process.ts';
import { makeRunDirectory, type RunDirectory } from './run-directory.ts';

const { signal } = new AbortController();
let directory: RunDirectory;
let rclone: Rclone;
let lines: LogLine[];
beforeEach(async () => {
  lines = [];
  directory = await makeRunDirectory();
  rclone = await startRclone({
    binary: 'rclone',
    directory: directory.path,
    config: { text: '[disk]\ntype = local\n' },
    onLine: (line) => lines.push(line),
    signal,
  });
});
afterEach(async () => {
  await rclone.close();
  await directory.remove();
});

it('what a job has said has all been read when its log was waited for', async () => {
  const [from, to] = [join(directory.path, 'from'), join(directory.path, 'to')];
  await mkdir(from);
  const names = Array.from({ length: 1500 }, (_, at) => `file ${at}`);
  for (const name of names) await writeFile(join(from, name), name);
  const end = await runJob(rclone.rc, {
    method: 'sync/copy',
    input: { srcFs: `disk:${from}`, dstFs: `disk:${to}` },
    group: 'all',
    onStats: () => undefined,
    stallMs: 60_000,
    onStall: () => {
      throw new Error('it stalled');
    },
    signal,
  });
  expect(end).toMatchObject({ error: null });
  await rclone.logged();
  const said = lines.filter(({ message }) => message === 'Copied (new)').map(({ object }) => object);
  expect(said.sort()).toEqual(names.sort());
});

it('waiting for the log leaves nothing in it, also many times at once', async () => {
  await rclone.logged();
  const before = lines.length;
  await Promise.all(Array.from({ length: 20 }, () => rclone.logged()));
  expect(lines.slice(before)).toEqual([]);
});

it('waiting for the log of an rclone that is gone ends', async () => {
  process.kill(rclone.pid, 'SIGKILL');
  await rclone.ended;
  await expect(rclone.logged()).rejects.toMatchObject({ code: 'SYNC_FAILED' });
});

it('no answer is broken off because it is long', async () => {
  const limits = z.looseObject({ ServerReadTimeout: z.number(), ServerWriteTimeout: z.number() });
  const options = JSON.stringify(await rclone.rc.call('options/get', {}, signal));
  const http = /"HTTP(?:Options)?":(\{[^{}]*\})/.exec(options)?.[1] ?? '{}';
  const { ServerReadTimeout, ServerWriteTimeout } = limits.parse(JSON.parse(http));
  const monthNs = 30 * 24 * 3600 * 1e9;
  expect(Math.min(ServerReadTimeout, ServerWriteTimeout)).toBeGreaterThan(monthNs);
});
