import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { startPostgres } from '@xvault/shared/testing/postgres.ts';
import { startRedis } from '@xvault/shared/testing/redis.ts';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { makeTenant } from '../demo/api-steps.ts';
import { type PlatformChild, startChild } from '../platform/child.ts';
import { hubEnvironment, operatorEmail } from '../platform/environment.ts';
import { nodeCommand } from '../platform/node-command.ts';
import { openSecrets, type PlatformSecrets } from '../platform/secrets.ts';
import { answersOk, untilReady } from '../platform/until.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { countFrames } from './progress-followers.ts';
import { type DrivenWorker, driveWorker } from './progress-workers.ts';
import { percentile, round } from './statistics.ts';

const created = z.object({ id: z.string() });
const size = { runs: 1000, workers: 20, followers: 50 };
const [beatMs, warmMs, measuredMs] = [2_000, 8_000, 30_000];

/** What 1,000 running backups that report every 2 s, some of them watched, cost one Hub in processor time. Linux only. */
export async function progress({ workDir, say, signal }: BenchContext): Promise<BenchResult> {
  const postgres = await startPostgres();
  const redis = await startRedis();
  let hub: PlatformChild | undefined;
  const over = new AbortController();
  try {
    const secrets = await openSecrets(workDir);
    const hubPort = await freePort();
    hub = await startHub({
      workDir,
      secrets,
      hubPort,
      databaseUrl: await postgres.createDatabase(),
      redisUrl: redis.url,
    });
    const hubUrl = `http://127.0.0.1:${hubPort}`;
    const api = await signIn(hubUrl, secrets);
    say(`${size.workers} workers take ${size.runs} backups`);
    const workers = await startWorkers(hubUrl, await secrets.read('enrolment-token'));
    await startRuns(api, workers, signal);
    const frames = countFrames(api, workers.flatMap((worker) => worker.runIds).slice(0, size.followers), over.signal);
    const stopping = AbortSignal.any([over.signal, signal]);
    const beating = workers.map((worker, index) => worker.beat(beatMs, (index * beatMs) / size.workers, stopping));
    await sleep(warmMs, undefined, { signal });
    say(`measuring for ${measuredMs / 1000} s`);
    const before = { cpu: await cpuSeconds(hub.pid), atMs: performance.now(), frames: frames() };
    for (const worker of workers) worker.answerMs.length = 0;
    await Promise.race([sleep(measuredMs, undefined, { signal }), ...beating]);
    const seconds = (performance.now() - before.atMs) / 1000;
    const cpu = (await cpuSeconds(hub.pid)) - before.cpu;
    const answers = workers.flatMap((worker) => worker.answerMs);
    const shown = frames() - before.frames;
    over.abort();
    await Promise.all(beating);
    // A figure about work that was not done would be worth nothing.
    if (answers.length < (0.8 * size.workers * measuredMs) / beatMs) throw new Error('the workers beat too seldom');
    if (shown < (0.8 * size.followers * measuredMs) / beatMs) throw new Error('progress was not shown to followers');
    return {
      bench: 'progress',
      ratios: {},
      figures: {
        hubCpuShare: round(cpu / seconds),
        updatesPerSecond: round((answers.length * (size.runs / size.workers)) / seconds, 0),
        heartbeatP50Ms: round(percentile(answers, 50), 1),
        heartbeatP99Ms: round(percentile(answers, 99), 1),
        framesPerSecond: round(shown / seconds, 1),
      },
    };
  } finally {
    over.abort();
    await hub?.end('SIGTERM', 20_000);
    await redis.stop();
    await postgres.stop();
  }
}

interface HubOptions {
  readonly workDir: string;
  readonly secrets: PlatformSecrets;
  readonly hubPort: number;
  readonly databaseUrl: string;
  readonly redisUrl: string;
}

async function startHub({ workDir, secrets, hubPort, databaseUrl, redisUrl }: HubOptions): Promise<PlatformChild> {
  const redisUrlFile = join(workDir, 'redis-url');
  await writeFile(redisUrlFile, redisUrl, { mode: 0o600 });
  const many = String(2 * size.runs);
  const env = await hubEnvironment(
    {
      dataDir: workDir,
      databaseUrl,
      redisUrlFile,
      hubPort,
      workerPort: 0,
      logLevel: 'info',
      localRoots: [],
      restoreRoots: [],
      allowNetworks: [],
      slots: 1,
      extraWorker: {},
      extraHub: {
        XVAULT_API_LIMIT_PER_MINUTE: '1000000',
        XVAULT_GLOBAL_MAX_RUNS: many,
        XVAULT_POOL_MAX_RUNS: many,
        XVAULT_TENANT_MAX_RUNS: many,
        XVAULT_DESTINATION_MAX_RUNS: many,
      },
    },
    secrets,
  );
  const hub = await startChild(nodeCommand('Hub', 'hub/src/main.ts', env, workDir));
  await untilReady(hub, () => answersOk(`http://127.0.0.1:${hubPort}/readyz`), 60_000);
  return hub;
}

async function signIn(hubUrl: string, secrets: PlatformSecrets): Promise<ApiClient> {
  const operator = await ApiClient.signIn(hubUrl, operatorEmail, await secrets.read('operator-password'));
  return (await makeTenant(operator, ['/srv'])).api;
}

function startWorkers(hubUrl: string, enrolmentToken: string): Promise<DrivenWorker[]> {
  const slots = size.runs / size.workers;
  return Promise.all(
    Array.from({ length: size.workers }, (_, index) => driveWorker(hubUrl, enrolmentToken, `bench-${index}`, slots)),
  );
}

/** A job for each run, for a job has one backup at a time. */
async function startRuns(api: ApiClient, workers: readonly DrivenWorker[], signal: AbortSignal): Promise<void> {
  const source = { name: 'bench', type: 'local', config: { path: '/srv/bench' } };
  const { id: source_id } = await api.post('/api/v1/sources', source, created);
  const destination = { name: 'bench', type: 'local_fs', config: {} };
  const { id: destination_id } = await api.post('/api/v1/destinations', destination, created);
  const startFor = async (worker: DrivenWorker) => {
    for (let count = 0; count < size.runs / size.workers; count += 1) {
      signal.throwIfAborted();
      const job = { name: 'bench', source_id, destination_id, engine: 'archive' };
      const { id } = await api.post('/api/v1/jobs', job, created);
      await worker.start((await api.post(`/api/v1/jobs/${id}/runs`, {}, created)).id, signal);
    }
  };
  await Promise.all(workers.map(startFor));
}

/** User and system time of all its threads so far. */
async function cpuSeconds(pid: number): Promise<number> {
  if (process.platform !== 'linux') throw new Error('the time of a process is read from /proc, which only Linux has');
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  // Counted from after the name, which may hold anything; the kernel's ticks are 100 a second on all that Node runs on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}
