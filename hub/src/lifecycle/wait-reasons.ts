import { type Kysely, sql } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { heldByItsJob } from './job-order.ts';
import { toPlace } from './queue-model.ts';
import { readRoom } from './room.ts';
import type { LifecycleSettings } from './settings.ts';

interface Hold {
  readonly id: string;
  readonly suspended: boolean;
  readonly waits_until: Date | null;
  readonly held: boolean;
  readonly tenant_limit: number;
}

/**
 * Why these runs, as far as they are queued, are not under way, in words: found by the same rules that admission goes by, at
 * the moment of asking. Several may be true; the first is said.
 */
export async function waitReasons(
  db: Kysely<Database>,
  runs: readonly RunRow[],
  settings: LifecycleSettings,
): Promise<Map<string, string>> {
  const queued = new Map(runs.filter((run) => run.status === 'queued').map((run) => [run.id, run]));
  if (queued.size === 0) return new Map();
  const [room, holds] = await Promise.all([readRoom(db, settings), readHolds(db, [...queued.keys()], settings)]);
  return new Map(
    holds.flatMap((hold) => {
      const run = queued.get(hold.id);
      return run === undefined ? [] : [[hold.id, heldBack(hold) ?? placed(run, hold)] as const];
    }),
  );

  function placed(run: RunRow, { tenant_limit }: Hold): string {
    const placement = room.place(toPlace(run), tenant_limit);
    return 'reason' in placement ? placement.reason : 'is next in turn';
  }
}

function heldBack({ suspended, waits_until, held }: Hold): string | undefined {
  if (suspended) return 'the tenant is suspended';
  if (held) return 'waits for the run before it of the same job';
  return waits_until === null ? undefined : `tries again after ${waits_until.toISOString()}`;
}

async function readHolds(db: Kysely<Database>, ids: readonly string[], settings: LifecycleSettings): Promise<Hold[]> {
  const { rows } = await sql<Hold>`
    select runs.id, tenants.status = 'suspended' as suspended, case when not_before > now() then not_before end as waits_until,
      ${heldByItsJob} as held, coalesce(tenants.max_concurrent_runs, ${settings.tenantMaxRuns}::int) as tenant_limit
    from runs join tenants on tenants.id = runs.tenant_id
    where runs.id = any(${ids}::text[])
  `.execute(db);
  return rows;
}
