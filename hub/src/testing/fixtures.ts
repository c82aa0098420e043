import type { ApiClient } from './api-client.ts';
import { stepsOf } from './lifecycle-hub.ts';
import { snapshotResult } from './run-fixtures.ts';
import { outcomes, type ScriptedWorker } from './scripted-worker.ts';
import type { TestHub } from './test-hub.ts';

/** The id of what a request has made; throws when it has not. */
export async function made(answer: ReturnType<ApiClient>): Promise<string> {
  const { status, body, text } = await answer;
  if (status !== 201 && status !== 202) throw new Error(`not made: ${text}`);
  return String(body.id);
}

export interface JobFixture {
  readonly sourceId: string;
  readonly destinationId: string;
  readonly jobId: string;
}

/** By the API: a local source below `/srv`, which the tenant must be allowed, a destination and a job. */
export async function makeJob(client: ApiClient): Promise<JobFixture> {
  const source = { type: 'local', name: 'files', config: { path: '/srv/files' } };
  const sourceId = await made(client('POST', '/api/v1/sources', source));
  const destinationId = await made(client('POST', '/api/v1/destinations', { type: 'local_fs', name: 'disk' }));
  const body = { name: 'nightly', source_id: sourceId, destination_id: destinationId };
  return { sourceId, destinationId, jobId: await made(client('POST', '/api/v1/jobs', body)) };
}

/** Runs the job and ends it as a worker would; gives the ids of the run and of its snapshot. */
export async function backUp(hub: TestHub, client: ApiClient, worker: ScriptedWorker, job: JobFixture) {
  const runId = await made(client('POST', `/api/v1/jobs/${job.jobId}/runs`));
  const started = await stepsOf(hub).begin({ id: runId }, worker);
  if (started.spec.kind !== 'backup' || started.snapshot_id === null) throw new Error('not a backup');
  const { recipients } = started.spec;
  const seed = { ...job, tenantId: started.tenant_id };
  const snapshot = {
    ...snapshotResult(started.snapshot_id, worker.id, seed),
    encryption: { algorithm: 'age', recipients },
  } as const;
  const { status } = await worker.finish(started, outcomes.completed({ kind: 'backup', snapshot }));
  if (status !== 200) throw new Error(`the backup was not finished: ${status}`);
  return { runId, snapshotId: started.snapshot_id };
}
