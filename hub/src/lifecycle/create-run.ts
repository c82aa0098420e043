import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { type RunKind, runKinds, runSpec, type SpecInput } from '@xvault/shared/run-kinds.ts';
import type { Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { notifyQueued, notifyRuns } from '../notify.ts';
import { insertEvents } from './events.ts';
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

/** Inserts a queued run with its first event and wakes the admission when the transaction commits. */
export async function createRun(trx: Transaction<Database>, run: NewRun): Promise<RunRow> {
  const spec = runSpec.parse(run.spec);
  if (spec.kind !== run.kind) {
    throw new XVaultError('INTERNAL', { detail: `spec of kind ${spec.kind} for a run of kind ${run.kind}` });
  }
  const row = await trx
    .insertInto('runs')
    .values({
      id: run.id ?? newId(),
      tenant_id: run.tenantId,
      kind: run.kind,
      trigger: run.trigger,
      spec: toPgJson(spec),
      job_id: run.jobId ?? null,
      source_id: run.sourceId ?? null,
      snapshot_id: run.snapshotId ?? null,
      export_id: run.exportId ?? null,
      destination_id: spec.kind === 'backup' ? spec.destination_id : (run.destinationId ?? null),
      slot: runKinds[run.kind].slot,
      required_worker_id: run.requiredWorkerId ?? null,
      source_host: run.sourceHost ?? null,
      ...(run.pool === undefined ? {} : { pool: run.pool }),
      priority: run.priority ?? 0,
      max_attempts: run.maxAttempts ?? runKinds[run.kind].maxAttempts,
      event_count: 1,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
  await insertEvents(trx, [{ run_id: row.id, id: 1, ts: null, ...hubEvent('run_queued') }]);
  await notifyRuns(trx, [row.id]);
  await notifyQueued(trx);
  return row;
}
