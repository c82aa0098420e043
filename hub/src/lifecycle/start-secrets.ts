import type { StartResponse } from '@xvault/shared/internal-api.ts';
import type { RunSpec } from '@xvault/shared/run-kinds.ts';
import type { Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';

export interface SecretsRequest {
  readonly runId: string;
  readonly tenantId: string;
  readonly spec: RunSpec;
}
/** The sealed values that a worker gets when it starts a run; the Hub can open none of them. */
export type StartSecrets = Pick<
  StartResponse,
  | 'source_secret_sealed'
  | 'destination_secret_sealed'
  | 'target_secret_sealed'
  | 'tenant_identities_sealed'
  | 'run_identity_sealed'
>;

interface Needs {
  readonly sourceId: string | null;
  readonly destinationId: string | null;
  readonly targetId: string | null;
  readonly readsSnapshot: boolean;
}

/** What each of the runs needs, in their order, by a fixed number of statements. */
export async function readStartSecrets(
  trx: Transaction<Database>,
  requests: readonly SecretsRequest[],
): Promise<StartSecrets[]> {
  const needs = requests.map(({ spec }) => needsOf(spec));
  const ids = (pick: (need: Needs) => string | null) => needs.map(pick).filter((id) => id !== null);
  const tenantIds = requests.map(({ tenantId }) => tenantId);
  const readers = requests.filter((_, at) => needs[at]?.readsSnapshot === true);
  const sources = await readSealed(trx, 'sources', tenantIds, [
    ...ids((need) => need.sourceId),
    ...ids((need) => need.targetId),
  ]);
  const destinations = await readSealed(
    trx,
    'destinations',
    tenantIds,
    ids((need) => need.destinationId),
  );
  const identities = await readIdentities(
    trx,
    readers.map(({ tenantId }) => tenantId),
  );
  const runIdentities = await readRunIdentities(
    trx,
    readers.map(({ runId }) => runId),
  );
  return requests.map(({ runId, tenantId }, at) => {
    const { sourceId, destinationId, targetId, readsSnapshot } = needs[at] ?? nothing;
    return {
      source_secret_sealed: sources.get(`${tenantId} ${sourceId}`) ?? null,
      destination_secret_sealed: destinations.get(`${tenantId} ${destinationId}`) ?? null,
      target_secret_sealed: sources.get(`${tenantId} ${targetId}`) ?? null,
      tenant_identities_sealed: readsSnapshot ? (identities.get(tenantId) ?? []) : [],
      run_identity_sealed: readsSnapshot ? (runIdentities.get(runId) ?? null) : null,
    };
  });
}

const nothing: Needs = { sourceId: null, destinationId: null, targetId: null, readsSnapshot: false };

function needsOf(spec: RunSpec): Needs {
  switch (spec.kind) {
    case 'backup':
      return { ...nothing, sourceId: spec.source_id, destinationId: spec.destination_id };
    case 'restore': {
      const targetId = 'source_id' in spec.target ? spec.target.source_id : null;
      return { ...nothing, destinationId: spec.snapshot.destination_id, targetId, readsSnapshot: true };
    }
    case 'validation':
      return { ...nothing, destinationId: spec.snapshot.destination_id, readsSnapshot: true };
    case 'retention':
      return { ...nothing, destinationId: spec.snapshot.destination_id };
    case 'probe':
      return needsOfProbe(spec.probe);
  }
}

function needsOfProbe(probe: Extract<RunSpec, { kind: 'probe' }>['probe']): Needs {
  switch (probe.type) {
    case 'source':
      return { ...nothing, sourceId: probe.source_id };
    case 'destination':
      return { ...nothing, destinationId: probe.destination_id };
    case 'files':
      return { ...nothing, destinationId: probe.snapshot.destination_id, readsSnapshot: true };
  }
}

async function readSealed(
  trx: Transaction<Database>,
  table: 'sources' | 'destinations',
  tenantIds: readonly string[],
  ids: readonly string[],
): Promise<Map<string, string | null>> {
  if (ids.length === 0) return new Map();
  const rows = await trx
    .selectFrom(table)
    .select(['id', 'tenant_id', 'secret_sealed'])
    .where('tenant_id', 'in', [...new Set(tenantIds)])
    .where('id', 'in', [...new Set(ids)])
    .execute();
  return new Map(rows.map((row) => [`${row.tenant_id} ${row.id}`, row.secret_sealed]));
}

/** Newest first: most snapshots are encrypted to the present key. */
async function readIdentities(
  trx: Transaction<Database>,
  tenantIds: readonly string[],
): Promise<Map<string, string[]>> {
  if (tenantIds.length === 0) return new Map();
  const rows = await trx
    .selectFrom('tenant_keys')
    .select(['tenant_id', 'identity_sealed'])
    .where('tenant_id', 'in', [...new Set(tenantIds)])
    .where('identity_sealed', 'is not', null)
    .orderBy('created_at', 'desc')
    .orderBy('recipient')
    .execute();
  const found = new Map<string, string[]>();
  for (const { tenant_id, identity_sealed } of rows) {
    if (identity_sealed === null) continue;
    found.set(tenant_id, [...(found.get(tenant_id) ?? []), identity_sealed]);
  }
  return found;
}

async function readRunIdentities(trx: Transaction<Database>, runIds: readonly string[]): Promise<Map<string, string>> {
  if (runIds.length === 0) return new Map();
  const rows = await trx
    .selectFrom('run_secrets')
    .select(['run_id', 'identity_sealed'])
    .where('run_id', 'in', [...runIds])
    .execute();
  return new Map(rows.map((row) => [row.run_id, row.identity_sealed]));
}
