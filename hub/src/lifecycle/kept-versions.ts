import type { RunSpec } from '@xvault/shared/run-kinds.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import type { SecretsRequest } from './start-secrets.ts';

interface Going {
  readonly tenantId: string;
  readonly snapshot: SnapshotRef;
}

/** By snapshot that goes, the versions of its job that stay at the same place and share objects with it; none for the archive engine. */
export async function readKeptVersions(
  db: Kysely<Database>,
  going: readonly Going[],
): Promise<ReadonlyMap<string, string[]>> {
  const asked = going.flatMap(({ tenantId: tenant_id, snapshot }) => {
    const { snapshot_id, job_id, destination_id, locator } = snapshot;
    if (locator.storage_backend !== 'rclone') return [];
    const { version: _, ...place } = locator;
    return [{ tenant_id, snapshot_id, job_id, destination_id, place }];
  });
  if (asked.length === 0) return new Map();
  const { rows } = await sql<{ snapshot_id: string; version: string }>`
    select asked.snapshot_id, snapshots.locator ->> 'version' as version
    from jsonb_to_recordset(${JSON.stringify(asked)}::jsonb)
      as asked(tenant_id text, snapshot_id text, job_id text, destination_id text, place jsonb)
    join snapshots on snapshots.job_id = asked.job_id and snapshots.tenant_id = asked.tenant_id
      and snapshots.destination_id = asked.destination_id and snapshots.locator - 'version' = asked.place
      and snapshots.id <> asked.snapshot_id and snapshots.status in ('committed', 'missing', 'corrupt')
    order by snapshots.id
  `.execute(db);
  const kept = Map.groupBy(rows, (row) => row.snapshot_id);
  return new Map([...kept].map(([id, of]) => [id, of.map(({ version }) => version)]));
}

/**
 * The specs, with what deletions are to keep as of now: versions made since the run was asked for are among it, and one that has
 * taken the name of the version to be deleted.
 */
export async function withKeptVersions(
  trx: Transaction<Database>,
  requests: readonly SecretsRequest[],
): Promise<RunSpec[]> {
  const going = requests.flatMap(({ tenantId, spec }) =>
    spec.kind === 'retention' ? [{ tenantId, snapshot: spec.snapshot }] : [],
  );
  const kept = await readKeptVersions(trx, going);
  return requests.map(({ spec }) =>
    spec.kind === 'retention' ? { ...spec, keep_versions: kept.get(spec.snapshot.snapshot_id) ?? [] } : spec,
  );
}
