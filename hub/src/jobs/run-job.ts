import { XVaultError } from '@xvault/shared/errors.ts';
import { archiveOptions, type SpecOf } from '@xvault/shared/run-kinds.ts';
import { syncOptions } from '@xvault/shared/sync-options.ts';
import type { Kysely, Transaction } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, RunRow, TenantRow } from '../db/schema.ts';
import { type DestinationRow, findDestinationShared } from '../destinations/destinations.repository.ts';
import { toDestinationConnection } from '../destinations/destinations.service.ts';
import { once } from '../idempotency/idempotency.ts';
import { createRun, type NewRun } from '../lifecycle/create-run.ts';
import { sourceHost, toConnection } from '../sources/connection.ts';
import { requireAllowedSource } from '../sources/local-path.ts';
import { findSourceShared, type SourceRow } from '../sources/sources.repository.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import { hasOpenBackup, type JobRow } from './jobs.repository.ts';
import { lockJob } from './jobs.service.ts';

interface RunJobRequest {
  readonly tenantId: string;
  readonly jobId: string;
  readonly idempotencyKey: string | undefined;
}

/** Queues a backup now. Throws JOB_NOT_ACTIVE, or RUN_OVERLAP while one of the job has not ended. */
export async function runJob(db: Kysely<Database>, actor: Actor, request: RunJobRequest): Promise<RunRow> {
  const { tenantId, jobId, idempotencyKey: key } = request;
  return db.transaction().execute(async (trx) => {
    // The lock on the job makes "no other run is open" true until the new run is there.
    const job = await lockJob(trx, tenantId, jobId);
    return once(trx, { tenantId, scope: `job:${jobId}`, key }, async () => {
      if (job.status !== 'active') throw new XVaultError('JOB_NOT_ACTIVE');
      if (await hasOpenBackup(trx, tenantId, jobId)) throw new XVaultError('RUN_OVERLAP');
      const run = await createBackup(trx, job, 'manual');
      const object = { objectType: 'job', objectId: jobId };
      await writeAudit(trx, actor, { tenantId, action: 'job.run', ...object, details: { run_id: run.id } });
      return run;
    });
  });
}

/** Freezes what the job says now into a run. The job's row must be locked. */
export async function createBackup(
  trx: Transaction<Database>,
  job: JobRow,
  trigger: RunRow['trigger'],
): Promise<RunRow> {
  const source = await findSourceShared(trx, job.tenant_id, job.source_id);
  const destination = await findDestinationShared(trx, job.tenant_id, job.destination_id);
  if (source === undefined || destination === undefined) {
    throw new XVaultError('INTERNAL', { detail: `job ${job.id} has no source or no destination` });
  }
  const tenant = await getTenant(trx, job.tenant_id);
  return createRun(trx, backupOf(job, { source, destination, tenant }, trigger));
}

/** What a backup of a job needs beside the job. */
export interface BackupParts {
  readonly source: SourceRow;
  readonly destination: DestinationRow;
  readonly tenant: TenantRow;
}

/** The run that a job asks for. Throws PATH_NOT_ALLOWED. */
export function backupOf(
  job: JobRow,
  { source, destination, tenant }: BackupParts,
  trigger: RunRow['trigger'],
): NewRun {
  const connection = toConnection(source);
  requireAllowedSource(tenant, connection);
  const spec: SpecOf<'backup'> = {
    kind: 'backup',
    job_id: job.id,
    source_id: source.id,
    source: connection,
    destination_id: destination.id,
    destination: toDestinationConnection(destination),
    engine: job.engine === 'sync' ? 'sync' : 'archive',
    sync: job.sync === null ? null : syncOptions.parse(job.sync),
    options: archiveOptions.parse(job.options),
    recipients: [tenant.recipient, ...tenant.extra_recipients],
  };
  return {
    tenantId: job.tenant_id,
    kind: 'backup',
    trigger,
    spec,
    jobId: job.id,
    sourceId: source.id,
    sourceHost: sourceHost(connection),
    priority: job.priority,
    maxAttempts: job.max_attempts,
  };
}
