import { runKindNames, runKinds } from '@xvault/shared/run-kinds.ts';
import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { Database } from '../db/schema.ts';
import { runCost } from './choose-runs.ts';
import { heldByItsJob, syncJobOf } from './job-order.ts';
import type { Candidate } from './queue-model.ts';
import type { Room } from './room.ts';
import type { LifecycleSettings } from './settings.ts';
import { hostLimit } from './usage.ts';

/** Control runs looked at in one round. */
export const controlLookahead = 500;

type Settings = Pick<LifecycleSettings, 'tenantMaxRuns' | 'sourceHostMaxRuns' | 'destinationMaxRuns'>;

const columns = sql`runs.id, runs.epoch, runs.tenant_id as "tenantId", runs.kind, runs.slot, runs.writes_disk as "writesDisk", runs.pool,
  runs.required_worker_id as "requiredWorkerId", runs.source_host as "sourceHost", runs.destination_id as "destinationId",
  ${syncJobOf} as "syncJobId"`;

/**
 * Data runs that may go now, in the order of weighted fairness: by the virtual time at which each would start, and within a
 * tenant by priority, then age. Each could go if it were alone, so those that wait for something else hide none. At
 * most `lookahead`, and none but the first in that order.
 */
export async function readDataCandidates(
  db: Kysely<Database>,
  room: Room,
  settings: Settings,
  clock: number,
  lookahead: number,
): Promise<Candidate[]> {
  const limit = sql`coalesce(tenants.max_concurrent_runs, ${settings.tenantMaxRuns}::int)`;
  const loads = room.usage.idsFrom('tenant', 1).map((id) => ({ id, in_flight: room.usage.of('tenant', id) }));
  const fullHosts = room.usage.idsFrom('host', (host) => hostLimit(host, settings.sourceHostMaxRuns));
  const fullDestinations = room.usage.idsFrom('destination', settings.destinationMaxRuns);
  const mayGo = sql<boolean>`status = 'queued' and slot = 'data' and tenant_id = able.id
    and (not_before is null or not_before <= now())
    and ${isInOpenLane(room, 'data')}
    and (source_host is null or source_host <> all(${fullHosts}::text[]))
    and (destination_id is null or destination_id <> all(${fullDestinations}::text[]))
    and not ${heldByItsJob}`;
  const { rows } = await sql<Candidate>`
    with backlog as (
      select distinct on (tenant_id) tenant_id, id as head from runs where status = 'queued' and slot = 'data'
      order by tenant_id, priority desc, id),
    able as (
      select tenants.id, tenants.weight, greatest(tenants.vtime, ${clock}::float8) as vtime, ${limit} as "tenantLimit",
        ${limit} - coalesce(load.in_flight, 0) as room, head
      from backlog join tenants on tenants.id = backlog.tenant_id
      left join jsonb_to_recordset(${JSON.stringify(loads)}::jsonb) as load(id text, in_flight int) on load.id = tenants.id
      where tenants.status = 'active' and ${limit} > coalesce(load.in_flight, 0)),
    -- No run of a tenant behind these can be among the first: its first would start after theirs.
    first as (
      select able.* from (select * from able order by vtime, head offset 0) as able
      -- The offsets keep the planner from asking this of all tenants.
      where exists (select from runs where ${mayGo} offset 0)
      limit ${lookahead})
    select run.*, able."tenantLimit", able.weight, able.vtime
    from first as able cross join lateral (
      select ${columns}, row_number() over (order by priority desc, runs.id) as place
      from runs where ${mayGo}
      order by priority desc, runs.id
      limit least(able.room, ${lookahead}::int)) as run
    order by able.vtime + (run.place - 1) * ${runCost}::float8 / able.weight, run.id
    limit ${lookahead}
  `.execute(db);
  return rows;
}

/** Connection tests and the like, oldest first: they wait for a worker that can do them, and deletions for their job's other runs. */
export async function readControlCandidates(
  db: Kysely<Database>,
  room: Room,
  { tenantMaxRuns }: Settings,
): Promise<Candidate[]> {
  const { rows } = await sql<Candidate>`
    select ${columns}, ${tenantMaxRuns}::int as "tenantLimit", tenants.weight, tenants.vtime
    from runs join tenants on tenants.id = runs.tenant_id and tenants.status = 'active'
    where runs.status = 'queued' and slot = 'control' and (not_before is null or not_before <= now())
      and ${isInOpenLane(room, 'control')} and not ${heldByItsJob}
    order by runs.id limit ${controlLookahead}
  `.execute(db);
  return rows;
}

/** Whether there is a worker with room for it, were it the only one. */
function isInOpenLane(room: Room, slot: Candidate['slot']): RawBuilder<boolean> {
  const kinds = runKindNames.filter((kind) => runKinds[kind].slot === slot);
  const needs = kinds.flatMap((kind) => [true, false].map((writesDisk) => ({ kind, writesDisk })));
  const openFor = (pool: string, requiredWorkerId: string | null) =>
    needs.filter((need) => 'workerId' in room.placeInLane({ ...need, slot, pool, requiredWorkerId }));
  const keysOf = (place: string, open: typeof needs) =>
    open.map(({ kind, writesDisk }) => `${place} ${kind} ${writesDisk}`);
  const pools = room.fleet.pools.flatMap((pool) => keysOf(pool, openFor(pool, null)));
  const workers = room.fleet.workers.flatMap(({ id, pool }) => keysOf(id, openFor(pool, id)));
  const need = sql`' ' || kind || ' ' || writes_disk`;
  return sql<boolean>`case when required_worker_id is null then (pool || ${need}) = any(${pools}::text[])
    else (required_worker_id || ${need}) = any(${workers}::text[]) end`;
}
