import { sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';

/** A deleted job's key goes with the last of its snapshots: until then they are read, restored and removed with it. */
export async function forgetUnneededSecret(
  trx: Transaction<Database>,
  tenantId: string,
  jobId: string | null,
): Promise<void> {
  await sql`
    update jobs set secret_sealed = null
    where tenant_id = ${tenantId} and id = ${jobId} and status = 'deleted' and secret_sealed is not null
      and not exists (select from snapshots where tenant_id = jobs.tenant_id and job_id = jobs.id and status <> 'deleted')
      and not exists (
        select from runs where tenant_id = jobs.tenant_id and job_id = jobs.id
          and status in ('queued', 'dispatched', 'running'))
  `.execute(trx);
}
