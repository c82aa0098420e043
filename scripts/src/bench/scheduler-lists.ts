import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Database } from '@xvault/hub/src/db/schema.ts';
import { listJobs } from '@xvault/hub/src/jobs/jobs.repository.ts';
import { listRuns } from '@xvault/hub/src/runs/runs.repository.ts';
import { largestTenant } from '@xvault/hub/src/testing/large-platform.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { startRedis } from '@xvault/shared/testing/redis.ts';
import type { Kysely } from 'kysely';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { startPart } from '../cluster/part.ts';
import { hubEnvironment, operatorEmail, type Places } from '../platform/environment.ts';
import { nodeCommand } from '../platform/node-command.ts';
import { openSecrets } from '../platform/secrets.ts';

export interface ListsContext {
  readonly databaseUrl: string;
  readonly workDir: string;
  readonly signal: AbortSignal;
}

const requests = 200;
const page = z.object({ items: z.array(z.unknown()), next_cursor: z.string().nullable() });
const lists = {
  runs: '/api/v1/runs?limit=50',
  'failed runs': '/api/v1/runs?limit=50&status=failed',
  'restores (none)': '/api/v1/runs?limit=50&kind=restore',
  'runs of a job': '/api/v1/runs?limit=50&job_id=job-0000001',
  jobs: '/api/v1/jobs?limit=50',
  snapshots: '/api/v1/snapshots?limit=50',
} as const;

/** Asks the database for the lists that the API asks it for. */
export async function readLists(db: Kysely<Database>): Promise<void> {
  const all = { limit: 51, beforeId: undefined };
  await listRuns(db, largestTenant, {}, all);
  await listRuns(db, largestTenant, { status: 'failed' }, all);
  await listRuns(db, largestTenant, { kind: 'restore' }, all);
  await listRuns(db, largestTenant, { jobId: 'job-0000001' }, all);
  await listJobs(db, largestTenant, all);
}

/** Times of each list over HTTP, in milliseconds, for the tenant with the longest history. */
export async function measureLists(context: ListsContext): Promise<Record<string, number[]>> {
  const { databaseUrl, workDir, signal } = context;
  const redis = await startRedis();
  try {
    const hub = await startHubAlone(workDir, databaseUrl, redis.url);
    try {
      await hub.part.ready(60_000);
      const operator = await ApiClient.signIn(hub.url, operatorEmail, hub.password, {
        'x-xvault-tenant': largestTenant,
      });
      const times: Record<string, number[]> = {};
      // A Hub that has just started catches up first, and its code is cold.
      for (const path of Object.values(lists)) await timeList(operator, path, signal);
      for (const [name, path] of Object.entries(lists)) times[name] = await timeList(operator, path, signal);
      return times;
    } finally {
      await hub.part.stop(20_000);
    }
  } finally {
    await redis.stop();
  }
}

/** A Hub with all its background work, and no worker. */
async function startHubAlone(dataDir: string, databaseUrl: string, redisUrl: string) {
  const secrets = await openSecrets(dataDir);
  const redisUrlFile = join(dataDir, 'secrets', 'redis-url');
  await writeFile(redisUrlFile, redisUrl, { mode: 0o600 });
  const hubPort = await freePort();
  const places: Places = {
    dataDir,
    databaseUrl,
    redisUrlFile,
    hubPort,
    workerPort: 0,
    logLevel: 'info',
    localRoots: [],
    restoreRoots: [],
    allowNetworks: [],
    slots: 1,
    extraHub: { XVAULT_API_LIMIT_PER_MINUTE: '1000000' },
    extraWorker: {},
  };
  const command = nodeCommand('Hub', 'hub/src/main.ts', await hubEnvironment(places, secrets), dataDir);
  const part = startPart({ command, readyText: '"the Hub is ready"', restartDelayMs: () => 1000 });
  return { part, url: `http://127.0.0.1:${hubPort}`, password: await secrets.read('operator-password') };
}

async function timeList(api: ApiClient, path: string, signal: AbortSignal): Promise<number[]> {
  const times: number[] = [];
  for (let number = -10; number < requests; number += 1) {
    signal.throwIfAborted();
    const startMs = performance.now();
    await api.get(path, page);
    if (number >= 0) times.push(performance.now() - startMs);
  }
  return times;
}
