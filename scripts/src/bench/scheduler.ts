import { loadConfig } from '@xvault/hub/src/config.ts';
import { openDatabase } from '@xvault/hub/src/db/database.ts';
import { migrate } from '@xvault/hub/src/db/migrate.ts';
import type { Database } from '@xvault/hub/src/db/schema.ts';
// Makes known to the compiler what the Hub adds to a request.
import type {} from '@xvault/hub/src/http/request-context.ts';
import { admitRuns } from '@xvault/hub/src/lifecycle/admission.ts';
import { raiseDeadlineAlarms } from '@xvault/hub/src/scheduling/deadlines.ts';
import { runSchedulerPass } from '@xvault/hub/src/scheduling/scheduler.ts';
import { createLogger } from '@xvault/shared/logging.ts';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { startPostgres } from '@xvault/shared/testing/postgres.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { Kysely, PostgresDialect, sql } from 'kysely';
import pg from 'pg';
import type { BenchContext, BenchResult } from './bench.ts';
import { explainAll, type QueryPlan, type SeenQuery } from './query-plans.ts';
import { type FleetSize, fill } from './scheduler-fill.ts';
import { measureLists } from './scheduler-lists.ts';
import { median, percentile, round } from './statistics.ts';

const size: FleetSize = {
  tenants: 10_000,
  jobs: 100_000,
  finishedRuns: 1_000_000,
  queuedRuns: 5_000,
  workers: 50,
  slotsPerWorker: 4,
};
const rounds = 100;
/** Places that become free between two rounds of admission. */
const freedPerRound = 5;
/** Tables that grow without end: what reads them from one end to the other is too slow some day. */
const growing = ['runs', 'jobs', 'run_attempts', 'run_events', 'snapshots', 'schedule_fires'];

/** What a tick of the scheduler, a round of admission and the lists cost when the database is that of a large platform. */
export async function scheduler({ workDir, say, signal }: BenchContext): Promise<BenchResult> {
  const postgres = await startPostgres();
  try {
    const databaseUrl = await postgres.createDatabase();
    const logger = createLogger('bench', 'error');
    const opened = await openDatabase(databaseUrl, { logger });
    try {
      await migrate(opened, logger);
      say('filling the database');
      await fill(opened.db, size);
      await sql`vacuum analyze`.execute(opened.db);
    } finally {
      await opened.close();
    }
    signal.throwIfAborted();
    const { db, queries } = watched(databaseUrl);
    try {
      const settings = await defaultSettings(databaseUrl);
      say('ticks of the scheduler and rounds of admission');
      const ticks = await measureTicks(db, logger);
      say(`tick: ${times(ticks)}`);
      const admission = await measureAdmission(db, settings);
      say(`admission: ${times(admission)}`);
      const lists = await measureLists({ db, databaseUrl, workDir, signal });
      for (const [name, list] of Object.entries(lists)) say(`${name}: ${times(list)}`);
      await checkPlans(databaseUrl, queries, say);
      return {
        bench: 'scheduler',
        ratios: {},
        figures: {
          tickMs: round(median(ticks), 1),
          tickP99Ms: round(percentile(ticks, 99), 1),
          admissionMs: round(median(admission), 1),
          admissionP99Ms: round(percentile(admission, 99), 1),
          listP99Ms: round(Math.max(...Object.values(lists).map((times) => percentile(times, 99))), 1),
        },
      };
    } finally {
      await db.destroy();
    }
  } finally {
    await postgres.stop();
  }
}

function times(list: readonly number[]): string {
  return `p50 ${round(median(list), 1)} ms, p99 ${round(percentile(list, 99), 1)} ms`;
}

/** The database, and what it is asked. */
function watched(databaseUrl: string): { db: Kysely<Database>; queries: SeenQuery[] } {
  const queries: SeenQuery[] = [];
  const types = { getTypeParser: (oid: number) => (oid === 20 ? Number : pg.types.getTypeParser(oid, 'text')) };
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 10, types });
  const db = new Kysely<Database>({
    dialect: new PostgresDialect({ pool }),
    log: ({ query }) => void queries.push({ sql: query.sql, parameters: query.parameters }),
  });
  return { db, queries };
}

async function defaultSettings(databaseUrl: string) {
  const { recipient } = await generateKeyPair();
  return loadConfig({
    XVAULT_DATABASE_URL: databaseUrl,
    XVAULT_REDIS_URL: 'redis://127.0.0.1:6379',
    XVAULT_JWT_SECRET: randomToken(),
    XVAULT_ENROLMENT_TOKEN: randomToken(),
    XVAULT_CREDENTIALS_RECIPIENT: recipient,
    XVAULT_VAULT_RECIPIENT: recipient,
  });
}

/** One tick for each second to come: somewhat more than one job is due at each. */
async function measureTicks(db: Kysely<Database>, logger: ReturnType<typeof createLogger>): Promise<number[]> {
  const firstMs = Date.now();
  const taken: number[] = [];
  let runs = 0;
  for (let second = 1; second <= rounds; second += 1) {
    const now = new Date(firstMs + second * 1000);
    const startMs = performance.now();
    runs += (await runSchedulerPass(db, logger, now)).runs;
    await raiseDeadlineAlarms(db, logger, now);
    taken.push(performance.now() - startMs);
  }
  if (runs < rounds / 2) throw new Error(`the scheduler made only ${runs} runs in ${rounds} ticks`);
  return taken;
}

/** Some runs end, and the next round fills their places from the backlog. */
async function measureAdmission(db: Kysely<Database>, settings: Awaited<ReturnType<typeof defaultSettings>>) {
  const taken: number[] = [];
  let admitted = 0;
  for (let number = 0; number < rounds; number += 1) {
    await sql`update runs set status = 'success', finished_at = now() where id in (
      select id from runs where status in ('dispatched', 'running') limit ${freedPerRound})`.execute(db);
    const startMs = performance.now();
    admitted += (await admitRuns(db, settings)).admitted;
    taken.push(performance.now() - startMs);
  }
  if (admitted < rounds * freedPerRound * 0.9)
    throw new Error(`only ${admitted} runs were admitted in ${rounds} rounds`);
  return taken;
}

async function checkPlans(databaseUrl: string, queries: readonly SeenQuery[], say: (line: string) => void) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const plans = await explainAll(client, queries);
    for (const plan of plans) say(`${shortened(plan)}\n    ${plan.reads.join('\n    ') || 'reads no table'}`);
    const slow = plans.filter((plan) => plan.seqScans.some((table) => growing.includes(table)));
    if (slow.length > 0) throw new Error(`read from end to end: ${slow.map(shortened).join('\n')}`);
  } finally {
    await client.end();
  }
}

function shortened(plan: QueryPlan): string {
  return plan.sql.replace(/\s+/g, ' ').trim().slice(0, 160);
}
