import { newId } from '@xvault/shared/ids.ts';
import type { RunKind, SpecInput } from '@xvault/shared/run-kinds.ts';
import { type SnapshotRef, type SnapshotResult, snapshotRef } from '@xvault/shared/snapshots.ts';
import { type Kysely, sql } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { createRun, type NewRun } from '../lifecycle/create-run.ts';

export interface Seed {
  readonly tenantId: string;
  readonly sourceId: string;
  readonly destinationId: string;
  readonly jobId: string;
}

interface SeedOptions {
  /** A tenant that is there already. */
  readonly of?: string;
  readonly maxConcurrentRuns?: number;
  readonly weight?: number;
  readonly validationMode?: 'none' | 'post_run';
}

const recipient = 'age1testrecipient';

/** A tenant with a source, a destination and a job, written straight into the database. */
export async function seedTenant(db: Kysely<Database>, options: SeedOptions = {}): Promise<Seed> {
  const [sourceId, destinationId, jobId] = [newId(), newId(), newId()];
  const tenantId = options.of ?? (await insertTenant(db, options));
  await db
    .insertInto('sources')
    .values({
      id: sourceId,
      tenant_id: tenantId,
      name: 'source',
      type: 'sftp',
      config: JSON.stringify(sftp.config),
      secret_sealed: 'sealed-secret',
      host_key: null,
      last_probe: null,
    })
    .execute();
  await db
    .insertInto('destinations')
    .values({
      id: destinationId,
      tenant_id: tenantId,
      name: 'disk',
      type: 'local_fs',
      config: '{}',
      secret_sealed: null,
    })
    .execute();
  await db
    .insertInto('jobs')
    .values({
      engine: 'archive',
      id: jobId,
      tenant_id: tenantId,
      name: 'job',
      source_id: sourceId,
      destination_id: destinationId,
      options: '{}',
      schedule: null,
      next_run_at: null,
      retention: null,
      notify: null,
      validation_mode: options.validationMode ?? 'none',
    })
    .execute();
  return { tenantId, sourceId, destinationId, jobId };
}

async function insertTenant(db: Kysely<Database>, options: SeedOptions): Promise<string> {
  const id = newId();
  await db
    .insertInto('tenants')
    .values({
      id,
      name: id,
      recipient,
      identity_sealed: 'sealed-identity',
      max_concurrent_runs: options.maxConcurrentRuns ?? null,
      bandwidth_limit_bps: null,
      weight: options.weight ?? 100,
    })
    .execute();
  await db.insertInto('tenant_keys').values({ tenant_id: id, recipient, identity_sealed: 'sealed-identity' }).execute();
  return id;
}

const sftp = {
  type: 'sftp',
  config: { host: 'files.example.com', port: 22, user: 'backup', path: '/srv' },
  host_key: null,
} as const;

export function backupSpec(seed: Seed): SpecInput<'backup'> {
  return {
    kind: 'backup',
    job_id: seed.jobId,
    source_id: seed.sourceId,
    source: sftp,
    destination_id: seed.destinationId,
    destination: { type: 'local_fs', config: {} },
    engine: 'archive',
    options: {},
    recipients: [recipient],
  };
}

export function probeSpec(seed: Seed): SpecInput<'probe'> {
  return { kind: 'probe', probe: { type: 'source', source_id: seed.sourceId, source: sftp } };
}

export function queueBackup(db: Kysely<Database>, seed: Seed, more: Partial<NewRun> = {}): Promise<RunRow> {
  return queueRun(db, seed, 'backup', backupSpec(seed), { jobId: seed.jobId, sourceId: seed.sourceId, ...more });
}

export function queueProbe(db: Kysely<Database>, seed: Seed, more: Partial<NewRun> = {}): Promise<RunRow> {
  return queueRun(db, seed, 'probe', probeSpec(seed), { sourceId: seed.sourceId, ...more });
}

export async function queueRun<K extends RunKind>(
  db: Kysely<Database>,
  seed: Seed,
  kind: K,
  spec: SpecInput<K>,
  more: Partial<NewRun> = {},
): Promise<RunRow> {
  const run = { tenantId: seed.tenantId, kind, trigger: 'manual' as const, spec, ...more };
  return db.transaction().execute((trx) => createRun(trx, run as NewRun));
}

/** Many backups at once, without the events of their making. */
export async function queueMany(db: Kysely<Database>, seed: Seed, count: number): Promise<void> {
  const spec = JSON.stringify(backupSpec(seed));
  const ids = Array.from({ length: count }, () => newId());
  await sql`insert into runs (id, tenant_id, kind, trigger, spec, destination_id)
    select id, ${seed.tenantId}, 'backup', 'manual', ${spec}::jsonb, ${seed.destinationId} from unnest(${ids}::text[]) as id`.execute(
    db,
  );
}

/** What a worker reports of a small backup. */
export function snapshotResult(snapshotId: string, workerId: string, seed: Seed): SnapshotResult {
  return {
    snapshot_id: snapshotId,
    locator: {
      storage_backend: 'local_fs',
      worker_id: workerId,
      local_path: `tenants/${seed.tenantId}/sources/${seed.sourceId}/snapshots/${snapshotId}`,
    },
    entry_count: 3,
    file_count: 2,
    source_bytes: 1000,
    tar_bytes: 4096,
    stored_bytes: 700,
    artifact_bytes: 600,
    artifact_sha256: 'a'.repeat(64),
    index_bytes: 100,
    index_sha256: 'b'.repeat(64),
    manifest_bytes: 50,
    manifest_sha256: 'c'.repeat(64),
    encryption: { algorithm: 'age', recipients: [recipient] },
  };
}

export function snapshotRefOf(seed: Seed, result: SnapshotResult): SnapshotRef {
  return snapshotRef.parse({
    snapshot_id: result.snapshot_id,
    source_id: seed.sourceId,
    locator: result.locator,
    artifact_bytes: result.artifact_bytes,
    artifact_sha256: result.artifact_sha256,
    index_bytes: result.index_bytes,
    index_sha256: result.index_sha256,
    destination_id: seed.destinationId,
  });
}
