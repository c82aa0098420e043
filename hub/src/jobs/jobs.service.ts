import { isDeepStrictEqual } from 'node:util';
import type { ArchiveOptions } from '@xvault/shared/archive-options.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { Kysely, Transaction } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database } from '../db/schema.ts';
import { findDestinationShared } from '../destinations/destinations.repository.ts';
import { invalidField } from '../http/problem.ts';
import { forgetUnneededSecret } from '../lifecycle/job-secret.ts';
import { nextRunAt } from '../scheduling/job-schedule.ts';
import { completeSchedule } from '../scheduling/schedule.schema.ts';
import { scheduleOf } from '../scheduling/schedule-of.ts';
import { toConnection } from '../sources/connection.ts';
import { findSourceShared } from '../sources/sources.repository.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import { requireEngineFits, requireSameSync, sealCrypt } from './job-engine.ts';
import { findJob, findJobForUpdate, insertJob, type JobRow, updateJob } from './jobs.repository.ts';
import type { CreateJob, PatchJob } from './jobs.schema.ts';
import { requireOptionsFit } from './options-fit.ts';

type Db = Kysely<Database>;
const objectType = 'job';

/** Throws BAD_REQUEST when the source or destination is not the tenant's. */
export async function createJob(
  db: Db,
  actor: Actor,
  tenantId: string,
  credentialsRecipient: string,
  body: CreateJob,
): Promise<JobRow> {
  return db.transaction().execute(async (trx) => {
    const source = await findSourceShared(trx, tenantId, body.source_id);
    if (source === undefined) throw invalidField('source_id', 'there is no such source');
    const destination = await findDestinationShared(trx, tenantId, body.destination_id);
    if (destination === undefined) throw invalidField('destination_id', 'there is no such destination');
    requireEngineFits(body, source.type, destination.type);
    requireOptionsFit(body.options, toConnection(source));
    const id = newId();
    const schedule = completeSchedule(body.schedule, (await getTenant(trx, tenantId)).timezone);
    const { crypt, ...columns } = body;
    const job = await insertJob(trx, {
      ...columns,
      id,
      tenant_id: tenantId,
      options: JSON.stringify(body.options),
      sync: body.sync === undefined ? null : JSON.stringify(body.sync),
      secret_sealed: await sealCrypt(body.sync, crypt, credentialsRecipient),
      schedule: JSON.stringify(schedule),
      next_run_at: await nextRunAt(trx, schedule, id),
      retention: null,
      notify: null,
    });
    const details = { name: body.name, source_id: body.source_id, destination_id: body.destination_id };
    await writeAudit(trx, actor, { tenantId, action: 'job.create', objectType, objectId: job.id, details });
    return job;
  });
}

/** Throws NOT_FOUND. */
export async function getJob(db: Db, tenantId: string, jobId: string): Promise<JobRow> {
  const job = await findJob(db, tenantId, jobId);
  if (job === undefined) throw new XVaultError('NOT_FOUND');
  return job;
}

export async function lockJob(trx: Transaction<Database>, tenantId: string, jobId: string): Promise<JobRow> {
  const job = await findJobForUpdate(trx, tenantId, jobId);
  if (job === undefined) throw new XVaultError('NOT_FOUND');
  return job;
}

export async function patchJob(db: Db, actor: Actor, tenantId: string, jobId: string, body: PatchJob): Promise<JobRow> {
  const { options, sync, schedule: _, ...columns } = body;
  return db.transaction().execute(async (trx) => {
    const before = await lockJob(trx, tenantId, jobId);
    if (Object.keys(body).length === 0) return before;
    if (sync !== undefined) requireSameSync(before, sync);
    if (options !== undefined) await requireOptionsFitJob(trx, before, options);
    const values = {
      ...columns,
      ...(options !== undefined && { options: JSON.stringify(options) }),
      ...(sync !== undefined && { sync: JSON.stringify(sync) }),
      ...(await scheduleColumns(trx, before, body)),
    };
    const job = await updateJob(trx, tenantId, jobId, values);
    await writeAudit(trx, actor, { tenantId, action: 'job.update', objectType, objectId: jobId, details: body });
    return job;
  });
}

async function requireOptionsFitJob(trx: Transaction<Database>, job: JobRow, options: ArchiveOptions): Promise<void> {
  const source = await findSourceShared(trx, job.tenant_id, job.source_id);
  if (source !== undefined) requireOptionsFit(options, toConnection(source));
}

/** When the schedule or the status changes, the next run is reckoned anew: what a pause passed over is not made up for. */
async function scheduleColumns(trx: Transaction<Database>, before: JobRow, { schedule: input, status }: PatchJob) {
  const schedule =
    input === undefined
      ? scheduleOf(before)
      : completeSchedule(input, (await getTenant(trx, before.tenant_id)).timezone);
  const isSame = isDeepStrictEqual(schedule, scheduleOf(before));
  if (isSame && (status ?? before.status) === before.status) return {};
  const isActive = (status ?? before.status) === 'active';
  return {
    schedule: JSON.stringify(schedule),
    next_run_at: isActive ? await nextRunAt(trx, schedule, before.id) : null,
  };
}

/** Its runs and snapshots stay, and the key that opens them; a run under way goes on. */
export async function deleteJob(db: Db, actor: Actor, tenantId: string, jobId: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    await lockJob(trx, tenantId, jobId);
    await updateJob(trx, tenantId, jobId, { status: 'deleted', next_run_at: null });
    await forgetUnneededSecret(trx, tenantId, jobId);
    await writeAudit(trx, actor, { tenantId, action: 'job.delete', objectType, objectId: jobId });
  });
}
