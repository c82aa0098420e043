import { randomBytes, randomUUID } from 'node:crypto';
import { locator } from '@xvault/shared/snapshots.ts';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { followRun, type RunProgress, type RunView } from '../api/runs.ts';
import type { DemoSource } from './sources.ts';

const created = z.object({ id: z.string() });
const restoreAnswer = z.object({ run: created });
export const snapshotView = z.object({
  id: z.string(),
  locator,
  file_count: z.number(),
  entry_count: z.number(),
  source_bytes: z.number(),
  stored_bytes: z.number(),
});
export type SnapshotView = z.infer<typeof snapshotView>;

/** A tenant with its owner signed in; everything goes through the public REST API. */
export interface DemoTenant {
  readonly id: string;
  readonly api: ApiClient;
}

export async function makeTenant(operator: ApiClient, localPaths: readonly string[]): Promise<DemoTenant> {
  const owner = { email: `owner-${Date.now()}@demo.localhost`, password: randomBytes(18).toString('base64url') };
  const body = { name: 'Demo', local_paths: localPaths, owner };
  const tenant = await operator.post('/api/v1/tenants', body, created);
  return { id: tenant.id, api: await ApiClient.signIn(operator.baseUrl, owner.email, owner.password) };
}

export interface Follow {
  readonly onProgress: (progress: RunProgress) => void;
  readonly signal: AbortSignal;
}

/** Makes source, destination and job; tests the connection when there is one, which also pins the host's key. */
export async function makeJob(api: ApiClient, source: DemoSource, follow: Follow): Promise<{ jobId: string }> {
  const { id: sourceId } = await api.post('/api/v1/sources', source.body, created);
  if (source.body.type !== 'local') {
    const probe = await api.post(`/api/v1/sources/${sourceId}/probe`, {}, created);
    await finish('connection test', api, probe.id, follow);
  }
  const destinationBody = { name: 'demo destination', type: 'local_fs', config: {} };
  const { id: destinationId } = await api.post('/api/v1/destinations', destinationBody, created);
  const jobBody = { name: 'demo job', source_id: sourceId, destination_id: destinationId, engine: 'archive' };
  const { id: jobId } = await api.post('/api/v1/jobs', jobBody, created);
  return { jobId };
}

/** Starts a backup; gives the run and its snapshot. */
export async function backUp(api: ApiClient, jobId: string, follow: Follow) {
  const { id } = await api.post(`/api/v1/jobs/${jobId}/runs`, {}, created, onceOnly());
  const run = await finish('backup', api, id, follow);
  if (run.snapshot_id === null) throw new Error('the backup ended well but names no snapshot');
  return { run, snapshot: await api.get(`/api/v1/snapshots/${run.snapshot_id}`, snapshotView) };
}

export async function validate(api: ApiClient, snapshotId: string, follow: Follow): Promise<void> {
  const { id } = await api.post(`/api/v1/snapshots/${snapshotId}/validate`, {}, created, onceOnly());
  await finish('verification', api, id, follow);
}

export async function restoreTo(api: ApiClient, snapshotId: string, path: string, follow: Follow): Promise<void> {
  const body = { paths: null, target: { type: 'directory', path, allow_setuid: true } };
  const { run } = await api.post(`/api/v1/snapshots/${snapshotId}/restore`, body, restoreAnswer, onceOnly());
  await finish('restore', api, run.id, follow);
}

/** So that a request whose answer is lost can be sent again and still makes one run. */
function onceOnly(): Record<string, string> {
  return { 'idempotency-key': randomUUID() };
}

/** Waits for the run's end. Throws with the customer's sentence unless it succeeded, with or without warnings. */
async function finish(what: string, api: ApiClient, runId: string, follow: Follow): Promise<RunView> {
  const run = await followRun(api, runId, follow.onProgress, follow.signal);
  if (run.status === 'success' || run.status === 'warning') return run;
  throw new Error(`the ${what} ${run.status}: ${run.error_code ?? ''} ${run.error_summary ?? ''}`.trim());
}
