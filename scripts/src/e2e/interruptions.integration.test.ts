import { execFile } from 'node:child_process';
import { randomFillSync } from 'node:crypto';
import { mkdir, mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { errorCatalogue } from '@xvault/shared/errors.ts';
import { localPathIn } from '@xvault/shared/snapshots.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { hasEnded, runView } from '../api/runs.ts';
import { type E2e, startE2e } from './fixture.ts';

const run = promisify(execFile);
const smallDiskBytes = 48 * 2 ** 20;
let disk: string;
let e2e: E2e;

/** The worker's storage is a small disk of its own, so that it can be full. */
beforeAll(async () => {
  disk = await mkdtemp(join(tmpdir(), 'xvault-small-disk-'));
  await run('mount', ['-t', 'tmpfs', '-o', `size=${smallDiskBytes},mode=0700`, 'tmpfs', disk]);
  // The small disk is to be filled, which the Hub would otherwise not let happen.
  // And a run of 40 MiB must last long enough to be interrupted.
  const extraHub = { XVAULT_WORKER_MIN_FREE_DISK_BYTES: '0', XVAULT_BANDWIDTH_LIMIT_BPS: String(8 * 2 ** 20) };
  e2e = await startE2e({ extraHub, extraWorker: { XVAULT_STORAGE_DIR: disk } });
});
afterAll(async () => {
  await e2e?.stop();
  await run('umount', [disk]);
  await rm(disk, { recursive: true });
});

async function jobOn(name: string, sizeBytes: number): Promise<string> {
  const tree = join(e2e.folder, name);
  await mkdir(tree);
  const file = await open(join(tree, 'random'), 'w');
  const piece = Buffer.alloc(2 ** 20);
  for (let written = 0; written < sizeBytes; written += piece.length) await file.write(randomFillSync(piece));
  await file.close();
  return e2e.customer.job(await e2e.customer.source({ type: 'local', config: { path: tree } }));
}

/** Until the attempt has written something: then there is something to leave behind. */
async function untilWriting(runId: string): Promise<void> {
  while (!(await e2e.stored()).some((path) => path.includes('.part-'))) {
    const now = await e2e.customer.api.get(`/api/v1/runs/${runId}`, runView);
    expect(hasEnded(now), 'ended too soon').toBe(false);
    await sleep(5);
  }
}

/** The snapshot is taken off the small disk again. */
async function expectSuccess(jobId: string): Promise<void> {
  const backup = await e2e.customer.backUp(jobId);
  expect([backup.status, backup.error_code]).toEqual(['success', null]);
  const { locator } = await e2e.customer.snapshot(backup.snapshot_id ?? '');
  await rm(join(disk, localPathIn(locator)), { recursive: true });
}

test('a full destination fails the run, leaves nothing, and the next run that fits succeeds', async () => {
  const failed = await e2e.customer.backUp(await jobOn('too large', 2 * smallDiskBytes));
  expect([failed.status, failed.error_code]).toEqual(['failed', 'STORAGE_FULL']);
  expect(failed.error_summary).toBe(errorCatalogue.STORAGE_FULL.sentence);
  expect(await e2e.stored()).toEqual([]);
  await expectSuccess(await jobOn('fits', 2 ** 20));
});

test('a cancelled backup ends as cancelled and leaves nothing', async () => {
  const runId = await e2e.customer.startBackup(await jobOn('cancelled', 40 * 2 ** 20));
  await untilWriting(runId);
  await e2e.customer.api.post(`/api/v1/runs/${runId}/cancel`, {}, z.unknown());
  const ended = await e2e.customer.ended(runId);
  expect([ended.status, ended.snapshot_id]).toEqual(['cancelled', null]);
  await expect.poll(() => e2e.stored(), { timeout: 20_000 }).toEqual([]);
});

test('a worker killed in the middle of a run: the run is said to be lost, and nothing is left behind', async () => {
  const job = await jobOn('killed', 40 * 2 ** 20);
  const runId = await e2e.customer.startBackup(job);
  await untilWriting(runId);
  await e2e.platform.killWorker('SIGKILL');
  expect(await e2e.stored()).not.toEqual([]);
  const ended = await e2e.customer.ended(runId);
  expect([ended.status, ended.error_code, ended.snapshot_id]).toEqual(['failed', 'WORKER_LOST', null]);
  expect(ended.error_summary).toBe(errorCatalogue.WORKER_LOST.sentence);
  await e2e.platform.startWorker();
  await expect.poll(() => e2e.stored(), { timeout: 20_000 }).toEqual([]);
  await expectSuccess(job);
});

test('a worker that was stopped for longer than its lease and goes on can report nothing and leaves nothing', async () => {
  const runId = await e2e.customer.startBackup(await jobOn('stopped', 40 * 2 ** 20));
  await untilWriting(runId);
  const pid = e2e.platform.worker?.pid;
  if (pid === undefined) throw new Error('there is no worker');
  process.kill(pid, 'SIGSTOP');
  const before = await e2e.customer.ended(runId);
  expect([before.status, before.error_code]).toEqual(['failed', 'WORKER_LOST']);
  process.kill(pid, 'SIGCONT');
  await expect.poll(() => e2e.stored(), { timeout: 30_000 }).toEqual([]);
  const after = await e2e.customer.api.get(`/api/v1/runs/${runId}`, runView);
  expect([after.status, after.error_code, after.snapshot_id]).toEqual(['failed', 'WORKER_LOST', null]);
});
