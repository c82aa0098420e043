import type { StartResponse } from '@xvault/shared/internal-api.ts';
import type { RunSpec } from '@xvault/shared/run-kinds.ts';
import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import type { Selectable, Transaction } from 'kysely';
import type { Database, RunSecretsTable } from '../db/schema.ts';

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
  | 'job_secret_sealed'
  | 'connection'
>;

interface Needs {
  readonly sourceId: string | null;
  readonly destinationId: string | null;
  readonly targetId: string | null;
  /** Whose rclone crypt is written or read. */
  readonly jobId: string | null;
  readonly connectionId: string | null;
  readonly readsSnapshot: boolean;
  /** What a customer gave for this run alone. */
  readonly hasOwn: boolean;
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
  const jobs = await readSealed(
    trx,
    'jobs',
    tenantIds,
    ids((need) => need.jobId),
  );
  const connections = await readConnections(
    trx,
    tenantIds,
    ids((need) => need.connectionId),
  );
  const identities = await readIdentities(
    trx,
    readers.map(({ tenantId }) => tenantId),
  );
  const own = await readRunSecrets(
    trx,
    requests.filter((_, at) => needs[at]?.hasOwn === true).map(({ runId }) => runId),
  );
  return requests.map(({ runId, tenantId }, at) => {
    const { sourceId, destinationId, targetId, jobId, connectionId, readsSnapshot } = needs[at] ?? nothing;
    const given = own.get(runId);
    return {
      source_secret_sealed: sources.get(`${tenantId} ${sourceId}`) ?? given?.source_secret_sealed ?? null,
      destination_secret_sealed: destinations.get(`${tenantId} ${destinationId}`) ?? null,
      target_secret_sealed: sources.get(`${tenantId} ${targetId}`) ?? null,
      tenant_identities_sealed: readsSnapshot ? (identities.get(tenantId) ?? []) : [],
      run_identity_sealed: given?.identity_sealed ?? null,
      job_secret_sealed: jobs.get(`${tenantId} ${jobId}`) ?? null,
      connection: connections.get(`${tenantId} ${connectionId}`) ?? null,
    };
  });
}

const nothing: Needs = {
  sourceId: null,
  destinationId: null,
  targetId: null,
  jobId: null,
  connectionId: null,
  readsSnapshot: false,
  hasOwn: false,
};

function needsOf(spec: RunSpec): Needs {
  switch (spec.kind) {
    case 'backup':
      return {
        ...nothing,
        sourceId: spec.source_id,
        destinationId: spec.destination_id,
        jobId: spec.engine === 'sync' ? spec.job_id : null,
        connectionId: connectionOf(spec.source),
      };
    case 'restore': {
      const targetId = 'source_id' in spec.target ? spec.target.source_id : null;
      return { ...ofSnapshot(spec.snapshot), targetId };
    }
    case 'validation':
      return ofSnapshot(spec.snapshot);
    case 'retention':
      return { ...ofSnapshot(spec.snapshot), readsSnapshot: false, hasOwn: false };
    case 'maintenance':
      return { ...nothing, destinationId: spec.task.snapshot.destination_id, readsSnapshot: true, hasOwn: true };
    case 'probe':
      return needsOfProbe(spec.probe);
  }
}

function needsOfProbe(probe: Extract<RunSpec, { kind: 'probe' }>['probe']): Needs {
  switch (probe.type) {
    case 'source':
    case 'browse': {
      const { source_id: sourceId, source } = probe;
      return { ...nothing, sourceId, connectionId: connectionOf(source), hasOwn: sourceId === null };
    }
    case 'destination':
      return { ...nothing, destinationId: probe.destination_id };
    case 'files':
      return ofSnapshot(probe.snapshot);
  }
}

function ofSnapshot({ destination_id, engine, job_id }: SnapshotRef): Needs {
  const jobId = engine === 'sync' ? job_id : null;
  return { ...nothing, destinationId: destination_id, jobId, readsSnapshot: true, hasOwn: true };
}

function connectionOf({ config }: SourceConnection): string | null {
  return 'connection_id' in config ? config.connection_id : null;
}

async function readConnections(
  trx: Transaction<Database>,
  tenantIds: readonly string[],
  ids: readonly string[],
): Promise<Map<string, NonNullable<StartResponse['connection']>>> {
  if (ids.length === 0) return new Map();
  const rows = await trx
    .selectFrom('connections')
    .select(['id', 'tenant_id', 'provider', 'status', 'token_sealed', 'generation'])
    .where('tenant_id', 'in', [...new Set(tenantIds)])
    .where('id', 'in', [...new Set(ids)])
    .where('status', '<>', 'deleted')
    .execute();
  return new Map(
    rows.flatMap(({ id, tenant_id, provider, status, token_sealed, generation }) =>
      token_sealed === null || status === 'deleted'
        ? []
        : [[`${tenant_id} ${id}`, { connection_id: id, provider, status, token_sealed, generation }] as const],
    ),
  );
}

async function readSealed(
  trx: Transaction<Database>,
  table: 'sources' | 'destinations' | 'jobs',
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

type RunSecret = Pick<Selectable<RunSecretsTable>, 'identity_sealed' | 'source_secret_sealed'>;

async function readRunSecrets(trx: Transaction<Database>, runIds: readonly string[]): Promise<Map<string, RunSecret>> {
  if (runIds.length === 0) return new Map();
  const rows = await trx
    .selectFrom('run_secrets')
    .select(['run_id', 'identity_sealed', 'source_secret_sealed'])
    .where('run_id', 'in', [...runIds])
    .execute();
  return new Map(rows.map((row) => [row.run_id, row]));
}
