import { randomFillSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { descendants } from '@xvault/shared/testing/process-tree.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { hasEnded, runView } from '../api/runs.ts';
import { type E2e, startE2e } from './fixture.ts';
import { type SecondWorker, secondId, startSecondWorker } from './second-worker.ts';

const attempted = runView.extend({
  worker_id: z.string().nullable(),
  attempts: z.array(
    z.object({ outcome: z.string().nullable(), worker_id: z.string().nullable(), ended_at: z.string().nullable() }),
  ),
});
/** Nothing is waited for: what runs is handed back at once. */
const extraWorker = { XVAULT_DRAIN_GRACE_SECONDS: '0' };
let e2e: E2e;
let operator: ApiClient;
let second: SecondWorker;

beforeAll(async () => {
  e2e = await startE2e({ extraWorker, slots: 1 });
  const { platform } = e2e;
  operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
  second = await startSecondWorker(e2e, operator, extraWorker);
});
afterAll(async () => {
  await second?.process.end('SIGTERM', 20_000);
  await e2e?.stop();
});

async function jobOn(name: string, sizeBytes: number, compressionLevel: number): Promise<string> {
  const { customer, folder } = e2e;
  const tree = join(folder, name);
  await mkdir(tree);
  await writeFile(join(tree, 'random'), randomFillSync(Buffer.alloc(sizeBytes)));
  const sourceId = await customer.source({ type: 'local', config: { path: tree } });
  const made = z.object({ id: z.string() });
  const destination = await customer.api.post('/api/v1/destinations', { name, type: 'local_fs', config: {} }, made);
  const options = { compression_level: compressionLevel };
  const body = { name, source_id: sourceId, destination_id: destination.id, engine: 'archive', options };
  return (await customer.api.post('/api/v1/jobs', { ...body, max_attempts: 1 }, made)).id;
}

const ask = (workerId: string, verb: 'drain' | 'resume') =>
  operator.post(`/api/v1/workers/${workerId}/${verb}`, {}, z.object({ status: z.string() }));
const see = (runId: string) => e2e.customer.api.get(`/api/v1/runs/${runId}`, attempted);

async function firstWorkerId(): Promise<string> {
  const workers = z.object({ items: z.array(z.object({ id: z.string() })) });
  const { items } = await operator.get('/api/v1/workers', workers);
  return items.find(({ id }) => id !== secondId)?.id ?? '';
}

test('a worker that is drained by the API takes nothing, and takes runs again when the drain ends', async () => {
  const [jobId, firstId] = [await jobOn('small', 1000, 3), await firstWorkerId()];
  const workersOf = async (count: number) => {
    const ids = [];
    for (let run = 0; run < count; run += 1) {
      const ended = await e2e.customer.backUp(jobId);
      expect(ended.status).toBe('success');
      ids.push((await see(ended.id)).attempts.map((attempt) => attempt.worker_id));
    }
    return ids;
  };
  const secondSaid = async (line: string) => (await readFile(second.logFile, 'utf8')).includes(line);
  expect(await ask(secondId, 'drain')).toEqual({ status: 'draining' });
  await expect.poll(() => secondSaid('no more tickets are taken')).toBe(true);
  expect(await workersOf(3)).toEqual([[firstId], [firstId], [firstId]]);
  expect(await ask(secondId, 'resume')).toEqual({ status: 'active' });
  await expect.poll(() => secondSaid('tickets are taken again')).toBe(true);
  await ask(firstId, 'drain');
  expect(await workersOf(2)).toEqual([[secondId], [secondId]]);
  await ask(firstId, 'resume');
});

test('a worker that is told to end hands its backup back; another finishes it, and the attempt does not count', async () => {
  const firstId = await firstWorkerId();
  // Random bytes at the highest level take seconds.
  const runId = await e2e.customer.startBackup(await jobOn('large', 24 * 2 ** 20, 19));
  let run = await see(runId);
  for (; run.status !== 'running'; run = await see(runId)) {
    expect(hasEnded(run), 'ended too soon').toBe(false);
    await sleep(10);
  }
  const holder = run.worker_id === secondId ? second.process : e2e.platform.worker;
  if (holder === undefined) throw new Error('nobody holds the run');
  const children = descendants(holder.pid);
  expect(await holder.end('SIGTERM', 30_000)).toEqual({ code: 0, signal: null });
  expect(children.filter((pid) => existsSync(`/proc/${pid}`))).toEqual([]);

  const ended = await e2e.customer.ended(runId);
  const other = run.worker_id === secondId ? firstId : secondId;
  expect([ended.status, ended.error_code]).toEqual(['success', null]);
  expect((await see(runId)).attempts).toEqual([
    { outcome: 'handed_back', worker_id: run.worker_id, ended_at: expect.any(String) },
    { outcome: 'completed', worker_id: other, ended_at: expect.any(String) },
  ]);
});
