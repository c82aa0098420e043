import { loadConfig } from '@xvault/hub/src/config.ts';
import { openDatabase } from '@xvault/hub/src/db/database.ts';
import { migrate } from '@xvault/hub/src/db/migrate.ts';
import type { Database } from '@xvault/hub/src/db/schema.ts';
// Makes known to the compiler what the Hub adds to a request.
import type {} from '@xvault/hub/src/http/request-context.ts';
import { admitRuns } from '@xvault/hub/src/lifecycle/admission.ts';
import { raiseDeadlineAlarms } from '@xvault/hub/src/scheduling/deadlines.ts';
import { runSchedulerPass } from '@xvault/hub/src/scheduling/scheduler.ts';
import { fillLargePlatform, type PlatformSize } from '@xvault/hub/src/testing/large-platform.ts';
import { inWords, shortened, tooLongReads, watchPlans } from '@xvault/hub/src/testing/query-plans.ts';
import { createLogger, type Logger } from '@xvault/shared/logging.ts';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { startPostgres } from '@xvault/shared/testing/postgres.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { type Kysely, sql } from 'kysely';
import type { BenchContext, BenchResult } from './bench.ts';
import { measureLists, readLists } from './scheduler-lists.ts';
import { median, percentile, round } from './statistics.ts';

const size: PlatformSize = {
  tenants: 10_000,
  jobs: 100_000,
  finishedRuns: 1_000_000,
  largestHasOneIn: 100,
  queuedRuns: 5_000,
  workers: 50,
  slotsPerWorker: 4,
};
const rounds = 100;
/** Places that become free between two rounds of admission. */
const freedPerRound = 5;
/** As many rows as one statement may look at: all of the backlog, and next to nothing of the history. */
const mostRows = 2 * size.queuedRuns;

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
      await fillLargePlatform(opened.db, size);
      await sql`vacuum analyze`.execute(opened.db);
      signal.throwIfAborted();
      const { db } = opened;
      const settings = await defaultSettings(databaseUrl);
      say('ticks of the scheduler and rounds of admission');
      const ticks = await measureTicks(db, logger);
      say(`tick: ${times(ticks)}`);
      const admission = await measureAdmission(db, settings);
      say(`admission: ${times(admission)}`);
      const lists = await measureLists({ databaseUrl, workDir, signal });
      for (const [name, list] of Object.entries(lists)) say(`${name}: ${times(list)}`);
      await checkPlans(databaseUrl, settings, logger, say);
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
      await opened.close();
    }
  } finally {
    await postgres.stop();
  }
}

function times(list: readonly number[]): string {
  return `p50 ${round(median(list), 1)} ms, p99 ${round(percentile(list, 99), 1)} ms`;
}

type Settings = Awaited<ReturnType<typeof defaultSettings>>;

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
async function measureTicks(db: Kysely<Database>, logger: Logger): Promise<number[]> {
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

async function freePlaces(db: Kysely<Database>): Promise<void> {
  await sql`update runs set status = 'success', finished_at = now() where id in (
    select id from runs where status in ('dispatched', 'running') limit ${freedPerRound})`.execute(db);
}

/** Some runs end, and the next round fills their places from the backlog. */
async function measureAdmission(db: Kysely<Database>, settings: Settings): Promise<number[]> {
  const taken: number[] = [];
  let admitted = 0;
  for (let number = 0; number < rounds; number += 1) {
    await freePlaces(db);
    const startMs = performance.now();
    admitted += (await admitRuns(db, settings)).admitted;
    taken.push(performance.now() - startMs);
  }
  if (admitted < rounds * freedPerRound * 0.9)
    throw new Error(`only ${admitted} runs were admitted in ${rounds} rounds`);
  return taken;
}

/** Once more, with a look at how the database does it. */
async function checkPlans(
  databaseUrl: string,
  settings: Settings,
  logger: Logger,
  say: (line: string) => void,
): Promise<void> {
  const { db, during } = watchPlans(databaseUrl);
  try {
    await freePlaces(db);
    const plans = await during(async () => {
      const later = new Date(Date.now() + 2 * rounds * 1000);
      await runSchedulerPass(db, logger, later);
      await raiseDeadlineAlarms(db, logger, later);
      await admitRuns(db, settings);
      await readLists(db);
    });
    for (const { sql: text, reads } of plans) {
      say(`${shortened(text)}\n    ${reads.map(inWords).join('\n    ') || 'reads no table'}`);
    }
    const tooLong = tooLongReads(plans, mostRows);
    if (tooLong.length > 0) throw new Error(`statements that read too much:\n${tooLong.join('\n')}`);
  } finally {
    await db.destroy();
  }
}
