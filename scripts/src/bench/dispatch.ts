import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '@xvault/shared/testing/postgres.ts';
import { startRedis } from '@xvault/shared/testing/redis.ts';
import pg from 'pg';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { makeTenant } from '../demo/api-steps.ts';
import { startPlatform } from '../platform/start-platform.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { measureBullmq } from './dispatch-bullmq.ts';
import { type ThinClient, thinClient } from './dispatch-clients.ts';
import { percentile, round } from './statistics.ts';

const created = z.object({ id: z.string() });
const singles = 300;
const clients = 16;
/** Runs that may wait when a client asks for the next: enough to keep all parts busy, too few to measure a backlog. */
const mostOpen = 200;
const [warmMs, measuredMs, bullmqMs] = [3_000, 12_000, 4_000];

/** Runs that do next to nothing (a connection test of a tiny local source), from the REST API to their end. */
export async function dispatch({ workDir, say, signal }: BenchContext): Promise<BenchResult> {
  const [tree, dataDir] = [join(workDir, 'tree'), join(workDir, 'data')];
  await mkdir(tree);
  await writeFile(join(tree, 'file'), 'tiny');
  const postgres = await startPostgres();
  const redis = await startRedis();
  try {
    const databaseUrl = await postgres.createDatabase();
    const extraHub = { XVAULT_API_LIMIT_PER_MINUTE: '1000000' };
    const platform = await startPlatform({ dataDir, databaseUrl, redisUrl: redis.url, localRoots: [tree], extraHub });
    const database = new pg.Client({ connectionString: databaseUrl });
    await database.connect();
    try {
      const { email, password } = platform.operator;
      const operator = await ApiClient.signIn(platform.hubUrl, email, password);
      const { api } = await makeTenant(operator, [tree]);
      const source = { name: 'bench', type: 'local', config: { path: tree } };
      const paths: string[] = [];
      // One for each client: customers do not test the same connection sixteen times at once.
      for (let number = 0; number < clients; number += 1) {
        paths.push(`/api/v1/sources/${(await api.post('/api/v1/sources', source, created)).id}/probe`);
      }
      const client = thinClient(platform.hubUrl, api.token, clients);
      const work: Work = { client, database, paths, signal };
      const idleMs = await Promise.race([platform.failed, oneAtATime(work)]);
      say(
        `idle create → start: p50 ${round(percentile(idleMs, 50), 1)} ms, p99 ${round(percentile(idleMs, 99), 1)} ms`,
      );
      const perSecond = await Promise.race([platform.failed, manyAtOnce(work)]);
      say(`${round(perSecond, 0)} runs/s over ${measuredMs / 1000} s, ${clients} clients`);
      client.close();
      const bullmq = await measureBullmq(redis.url, bullmqMs, singles, signal);
      say(`raw BullMQ: ${round(bullmq.perSecond, 0)} jobs/s, idle p99 ${round(percentile(bullmq.idleMs, 99), 1)} ms`);
      return {
        bench: 'dispatch',
        ratios: { bullmq: round(perSecond / bullmq.perSecond) },
        figures: {
          runsPerSecond: round(perSecond, 1),
          idleP50Ms: round(percentile(idleMs, 50), 1),
          idleP99Ms: round(percentile(idleMs, 99), 1),
          bullmqPerSecond: round(bullmq.perSecond, 0),
          bullmqIdleP99Ms: round(percentile(bullmq.idleMs, 99), 1),
        },
      };
    } finally {
      await database.end();
      await platform.stop();
    }
  } finally {
    await redis.stop();
    await postgres.stop();
  }
}

interface Work {
  readonly client: ThinClient;
  readonly database: pg.Client;
  readonly paths: readonly string[];
  readonly signal: AbortSignal;
}

/** One run after the other; from creation to start by the database's clock, in milliseconds. */
async function oneAtATime(work: Work): Promise<number[]> {
  const waits: number[] = [];
  for (let number = -20; number < singles; number += 1) {
    work.signal.throwIfAborted();
    const id = await createRun(work, 0);
    const waitMs = await untilEnded(work, id);
    // The first ones warm everything up.
    if (number >= 0) waits.push(waitMs);
  }
  return waits;
}

async function untilEnded({ database, signal }: Work, runId: string): Promise<number> {
  const limitMs = performance.now() + 60_000;
  while (performance.now() < limitMs) {
    const { rows } = await database.query<{ status: string; wait_ms: number }>(
      'select status, extract(epoch from started_at - queued_at)::float8 * 1000 as wait_ms from runs where id = $1',
      [runId],
    );
    const row = rows[0];
    if (row?.status === 'success') return row.wait_ms;
    if (row?.status === 'failed') throw new Error('a run of the bench failed');
    await sleep(5, undefined, { signal });
  }
  throw new Error(`run ${runId} did not end within a minute`);
}

/** Clients that ask again and again while not too many wait; ended runs a second, by the database's clock. */
async function manyAtOnce(work: Work): Promise<number> {
  const over = performance.now() + warmMs + measuredMs;
  let open = 0;
  const watch = async () => {
    while (performance.now() < over) {
      const { rows } = await work.database.query<{ open: number }>(
        `select count(*)::int as open from runs where status in ('queued', 'dispatched', 'running')`,
      );
      open = rows[0]?.open ?? 0;
      await sleep(50, undefined, { signal: work.signal });
    }
  };
  const ask = async (_: unknown, number: number) => {
    while (performance.now() < over && !work.signal.aborted) {
      if (open < mostOpen) await createRun(work, number);
      else await sleep(5);
    }
  };
  await Promise.all([watch(), ...Array.from({ length: clients }, ask)]);
  const { rows } = await work.database.query<{ ended: number }>(
    `select count(*)::int as ended from runs
     where status = 'success' and finished_at > now() - make_interval(secs => $1)`,
    [measuredMs / 1000],
  );
  return (rows[0]?.ended ?? 0) / (measuredMs / 1000);
}

async function createRun({ client, paths }: Work, number: number): Promise<string> {
  const { status, body } = await client.post(paths[number % paths.length] ?? '');
  if (status !== 202) throw new Error(`the Hub answered ${status}: ${body.slice(0, 300)}`);
  return created.parse(JSON.parse(body)).id;
}
