import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { type RunKind, runKinds, runSpec, type SpecInput, writesDisk } from '@xvault/shared/run-kinds.ts';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Actor, AuditEntry } from '../audit/audit.ts';
import type { Database, RunRow } from '../db/schema.ts';
import { createBatcher, type Outcome } from '../loops/batcher.ts';
import { tellQueued, tellRuns } from '../notify.ts';
import { hubEvent } from './hub-event.ts';
import { toPgJson } from './pg-text.ts';

export interface NewRun<K extends RunKind = RunKind> {
  readonly tenantId: string;
  readonly kind: K;
  readonly trigger: RunRow['trigger'];
  /** What to do, frozen; holds no secrets. */
  readonly spec: SpecInput<K>;
  readonly id?: string;
  readonly jobId?: string | null;
  readonly sourceId?: string | null;
  /** The snapshot that the run reads. */
  readonly snapshotId?: string | null;
  readonly exportId?: string | null;
  /** Of the snapshot that the run reads; that of a backup stands in its spec. */
  readonly destinationId?: string | null;
  /** Only this worker may carry it out. */
  readonly requiredWorkerId?: string | null;
  readonly pool?: string;
  /** `host:port` of the source. */
  readonly sourceHost?: string | null;
  /** Bigger goes first within a tenant. */
  readonly priority?: number;
  /** The first included; by default what the catalogue says of the kind. */
  readonly maxAttempts?: number;
}

/** Their ids go into one notification. */
const runsPerStatement = 100;

/** A new run and what the audit log says of it. */
export interface RunToMake {
  readonly run: NewRun;
  readonly audit: { readonly actor: Actor; readonly entry: AuditEntry } | null;
}

/** Inserts a queued run with its first event and wakes the admission when the transaction commits. */
export async function createRun(trx: Transaction<Database>, run: NewRun): Promise<RunRow> {
  const [row] = await insertRuns(trx, [{ run, audit: null }]);
  if (row === undefined) throw new XVaultError('INTERNAL', { detail: `there is a run ${run.id} already` });
  return row;
}

/** Makes many runs in their order, a hundred with each statement. */
export async function createRuns(trx: Transaction<Database>, runs: readonly NewRun[]): Promise<RunRow[]> {
  const made: RunRow[] = [];
  for (let from = 0; from < runs.length; from += runsPerStatement) {
    const some = runs.slice(from, from + runsPerStatement);
    made.push(
      ...(await insertRuns(
        trx,
        some.map((run) => ({ run, audit: null })),
      )),
    );
  }
  if (made.length < runs.length) throw new XVaultError('INTERNAL', { detail: 'an id of a new run is taken' });
  return made;
}

/**
 * Gathers runs that are asked for at the same time and makes them in one statement, with their audit. Only for runs that need
 * nothing else to be true in the transaction that makes them.
 */
export function createRunMaker(db: Kysely<Database>): (toMake: RunToMake) => Promise<RunRow> {
  const batched = createBatcher<RunToMake, RunRow>({ carryOut: (items) => makeRuns(db, items) });
  // The id is given here, so that a statement whose answer was lost is known for done when it comes again.
  return ({ run, audit }) => batched({ run: { ...run, id: run.id ?? newId() }, audit });
}

async function makeRuns(db: Kysely<Database>, items: readonly RunToMake[]): Promise<Outcome<RunRow>[]> {
  const made = new Map((await insertRuns(db, items)).map((row) => [row.id, row]));
  const known = await findRuns(
    db,
    items.flatMap(({ run }) => (run.id === undefined || made.has(run.id) ? [] : [run.id])),
  );
  return items.map(({ run }) => {
    const row = made.get(run.id ?? '') ?? known.get(run.id ?? '');
    return row === undefined ? { error: new Error('a run was not made') } : { value: row };
  });
}

async function findRuns(db: Kysely<Database>, ids: readonly string[]): Promise<Map<string, RunRow>> {
  if (ids.length === 0) return new Map();
  const rows = await db.selectFrom('runs').selectAll().where('id', 'in', ids).execute();
  return new Map(rows.map((row) => [row.id, row]));
}

/** One statement for all: runs, first events, audit, notifications. A run whose id is taken is not made and not given. */
async function insertRuns(db: Kysely<Database>, items: readonly RunToMake[]): Promise<RunRow[]> {
  const rows = items.map(({ run, audit }) => ({ ...toColumns(run), ...toAudit(audit) }));
  const { type, level, code, message_id } = hubEvent('run_queued');
  const { rows: made } = await sql<RunRow & Told>`
    with input as (
      select * from rows from (jsonb_to_recordset(${toPgJson(rows)}::jsonb) as (
        id text, tenant_id text, kind text, trigger text, spec jsonb, job_id text, source_id text, snapshot_id text,
        export_id text, destination_id text, slot text, writes_disk boolean, required_worker_id text, source_host text, pool text,
        priority int, max_attempts int, audit_action text, audit_object_type text, audit_object_id text,
        audit_user_id text, audit_address text, audit_details jsonb)) with ordinality),
    made as (
      insert into runs (id, tenant_id, kind, trigger, spec, job_id, source_id, snapshot_id, export_id, destination_id,
        slot, writes_disk, required_worker_id, source_host, pool, priority, max_attempts, event_count)
      select id, tenant_id, kind, trigger, spec, job_id, source_id, snapshot_id, export_id, destination_id,
        slot, writes_disk, required_worker_id, source_host, pool, priority, max_attempts, 1
      from input order by ordinality
      on conflict (id) do nothing returning *),
    event as (
      insert into run_events (run_id, id, ts, type, level, code, message_id, params)
      select id, 1, clock_timestamp(), ${type}, ${level}, ${code}, ${message_id}, '{}' from made),
    audit as (
      insert into audit_log (tenant_id, user_id, action, object_type, object_id, address, details)
      select input.tenant_id, audit_user_id, audit_action, audit_object_type, audit_object_id, audit_address,
        audit_details || jsonb_build_object('run_id', input.id)
      from input join made on made.id = input.id where audit_action is not null)
    select made.*, ${tellRuns(sql`select id from made`)} as told_runs, ${tellQueued} as told_queued from made
  `.execute(db);
  return made.map(({ told_runs: _, told_queued: __, ...row }) => row);
}

interface Told {
  readonly told_runs: unknown;
  readonly told_queued: unknown;
}

function toColumns(run: NewRun) {
  const spec = runSpec.parse(run.spec);
  if (spec.kind !== run.kind) {
    throw new XVaultError('INTERNAL', { detail: `spec of kind ${spec.kind} for a run of kind ${run.kind}` });
  }
  return {
    id: run.id ?? newId(),
    tenant_id: run.tenantId,
    kind: run.kind,
    trigger: run.trigger,
    spec,
    job_id: run.jobId,
    source_id: run.sourceId,
    snapshot_id: run.snapshotId,
    export_id: run.exportId,
    destination_id: spec.kind === 'backup' ? spec.destination_id : run.destinationId,
    slot: runKinds[run.kind].slot,
    writes_disk: writesDisk(spec),
    required_worker_id: run.requiredWorkerId,
    source_host: run.sourceHost,
    pool: run.pool ?? 'default',
    priority: run.priority ?? 0,
    max_attempts: run.maxAttempts ?? runKinds[run.kind].maxAttempts,
  };
}

function toAudit(audit: RunToMake['audit']) {
  if (audit === null) return {};
  const { actor, entry } = audit;
  return {
    audit_action: entry.action,
    audit_object_type: entry.objectType,
    audit_object_id: entry.objectId,
    audit_user_id: actor.userId,
    audit_address: actor.address,
    audit_details: entry.details ?? {},
  };
}
