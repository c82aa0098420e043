import { sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import type { BackupParts } from '../jobs/run-job.ts';
import type { DueJob } from './fires.repository.ts';

/**
 * What the backups of these jobs need, by job; sources and destinations are kept from being changed or deleted until the
 * transaction ends. Jobs that lack something are not among them.
 */
export async function readParts(
  trx: Transaction<Database>,
  jobs: readonly DueJob[],
): Promise<Map<string, BackupParts>> {
  if (jobs.length === 0) return new Map();
  const sources = await lockActive(
    trx,
    'sources',
    jobs.map((job) => job.source_id),
  );
  const destinations = await lockActive(
    trx,
    'destinations',
    jobs.map((job) => job.destination_id),
  );
  const isTenant = sql<string>`any(${jobs.map((job) => job.tenant_id)}::text[])`;
  const tenants = await trx.selectFrom('tenants').selectAll().where('id', '=', isTenant).execute();
  const [sourceById, destinationById, tenantById] = [byId(sources), byId(destinations), byId(tenants)];
  return new Map(
    jobs.flatMap((job) => {
      const source = sourceById.get(job.source_id);
      const destination = destinationById.get(job.destination_id);
      const tenant = tenantById.get(job.tenant_id);
      const isWhole = source?.tenant_id === job.tenant_id && destination?.tenant_id === job.tenant_id;
      return isWhole && source && destination && tenant ? [[job.id, { source, destination, tenant }] as const] : [];
    }),
  );
}

/** In the order of their ids, for others may be locking the same. */
async function lockActive<T extends 'sources' | 'destinations'>(trx: Transaction<Database>, table: T, ids: string[]) {
  return trx
    .selectFrom(table as 'sources')
    .selectAll()
    .where('id', '=', sql<string>`any(${ids}::text[])`)
    .where('status', '=', 'active')
    .orderBy('id')
    .forShare()
    .execute();
}

function byId<T extends { readonly id: string }>(rows: readonly T[]): Map<string, T> {
  return new Map(rows.map((row) => [row.id, row]));
}
