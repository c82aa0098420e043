import type { Locator } from '@xvault/shared/snapshots.ts';
import type { Generated, JSONColumnType, Selectable } from 'kysely';
import type {
  CreatedAt,
  GeneratedJson,
  GeneratedTime,
  Json,
  NullableJson,
  NullableTime,
  Time,
} from './column-types.ts';
import type { OutboxTable, RunAttemptsTable, RunEventsTable, RunsTable, ValidationStatus } from './schema-runs.ts';

export type { RunStatus, ValidationStatus } from './schema-runs.ts';
export type SnapshotStatus = 'committed' | 'deleting' | 'deleted' | 'missing' | 'corrupt';
export type Role = 'owner' | 'admin' | 'operator' | 'viewer';

export interface TenantsTable {
  id: string;
  name: string;
  status: Generated<'active' | 'suspended'>;
  recipient: string;
  identity_sealed: string | null;
  extra_recipients: GeneratedJson<string[]>;
  local_paths: GeneratedJson<string[]>;
  max_concurrent_runs: number | null;
  bandwidth_limit_bps: number | null;
  timezone: Generated<string>;
  weight: Generated<number>;
  /** Virtual time up to which its runs were admitted: see lifecycle/admission.ts. */
  vtime: Generated<number>;
  created_at: CreatedAt;
}

export interface UsersTable {
  id: string;
  email: string;
  password_hash: string;
  platform_role: 'operator' | null;
  status: Generated<'active' | 'disabled'>;
  created_at: CreatedAt;
  last_login_at: NullableTime;
}

export interface MembershipsTable {
  tenant_id: string;
  user_id: string;
  role: Role;
}

export interface WorkersTable {
  id: string;
  name: string;
  kind: Generated<'fleet' | 'agent'>;
  tenant_id: string | null;
  pool: string;
  token_hash: string | null;
  capabilities: GeneratedJson<string[]>;
  public_url: string | null;
  host: string | null;
  version: string | null;
  /** Of the process that registered last. */
  boot_id: string | null;
  slots: Generated<number>;
  slots_in_use: Generated<number>;
  load_1m: number | null;
  disk_free_bytes: number | null;
  disk_total_bytes: number | null;
  status: Generated<'active' | 'draining' | 'offline'>;
  registered_at: NullableTime;
  last_seen_at: NullableTime;
  created_at: CreatedAt;
}

export interface SourcesTable {
  id: string;
  tenant_id: string;
  name: string;
  type: string;
  config: Json<Record<string, unknown>>;
  secret_sealed: string | null;
  host_key: string | null;
  last_probe: NullableJson<Record<string, unknown>>;
  status: Generated<'active' | 'deleted'>;
  created_at: CreatedAt;
  updated_at: GeneratedTime;
}

export interface DestinationsTable {
  id: string;
  tenant_id: string;
  name: string;
  type: string;
  config: Json<Record<string, unknown>>;
  secret_sealed: string | null;
  status: Generated<'active' | 'deleted'>;
  created_at: CreatedAt;
  updated_at: GeneratedTime;
}

export interface JobsTable {
  id: string;
  tenant_id: string;
  name: string;
  source_id: string;
  destination_id: string;
  engine: string;
  options: Json<Record<string, unknown>>;
  /** Options of the sync engine; null for the other. */
  sync: NullableJson<Record<string, unknown>>;
  /** Password of its rclone crypt, sealed to the credentials recipient. */
  secret_sealed: string | null;
  schedule: NullableJson<Record<string, unknown>>;
  next_run_at: NullableTime;
  retention: NullableJson<Record<string, unknown>>;
  validation_mode: Generated<'none' | 'post_run'>;
  validation_level: Generated<'quick' | 'full'>;
  notify: NullableJson<Record<string, unknown>>;
  priority: Generated<number>;
  max_attempts: Generated<number>;
  status: Generated<'active' | 'paused' | 'deleted'>;
  created_at: CreatedAt;
  updated_at: GeneratedTime;
}

export interface SnapshotsTable {
  id: string;
  tenant_id: string;
  source_id: string;
  job_id: string;
  run_id: string;
  destination_id: string;
  storage_backend: string;
  worker_id: string | null;
  locator: Json<Locator>;
  status: Generated<SnapshotStatus>;
  entry_count: number;
  file_count: number;
  source_bytes: number;
  tar_bytes: number;
  stored_bytes: number;
  artifact_bytes: number;
  artifact_sha256: string;
  index_bytes: number;
  index_sha256: string;
  /** Null for snapshots older than the column. */
  manifest_bytes: number | null;
  manifest_sha256: string | null;
  encryption: Json<{ algorithm: string; recipients: string[] }>;
  warnings: Generated<number>;
  verified_at: NullableTime;
  validation_status: Generated<ValidationStatus>;
  /** Of the last validation that ended. */
  validation_level: 'quick' | 'full' | null;
  validation_excerpt: string | null;
  locked_until: NullableTime;
  created_at: CreatedAt;
}

export interface ExportsTable {
  id: string;
  tenant_id: string;
  snapshot_id: string;
  run_id: string;
  /** Who keeps the file; null where it is in a bucket, and until it is made by whichever worker. */
  worker_id: string | null;
  /** Where the file is in a bucket. */
  s3: NullableJson<{ bucket: string; object_key: string }>;
  format: string;
  status: Generated<'pending' | 'ready' | 'failed'>;
  file_name: string | null;
  size_bytes: number | null;
  sha256: string | null;
  /** SHA-256 of the id of the one link that works now; null when none or used. */
  link_hash: string | null;
  link_expires_at: NullableTime;
  expires_at: Time;
  created_at: CreatedAt;
}

export interface AuditLogTable {
  id: Generated<number>;
  ts: CreatedAt;
  tenant_id: string | null;
  user_id: string | null;
  action: string;
  object_type: string | null;
  object_id: string | null;
  address: string | null;
  details: NullableJson<Record<string, unknown>>;
}

export type FireOutcome = 'run' | 'missed' | 'overlap_skipped' | 'failed';

/** One row for each time that a job's schedule named and that has passed: it never fires again. */
export interface ScheduleFiresTable {
  job_id: string;
  scheduled_for: Time;
  run_id: string | null;
  outcome: FireOutcome;
  fired_at: CreatedAt;
  /** The run should have started by then; null when there is no deadline or it was met. */
  start_deadline_at: NullableTime;
  /** When the alarm about the deadline was raised. */
  alarmed_at: NullableTime;
}

/** Which run a request made, so that the same request sent again makes no other. */
export interface IdempotencyKeysTable {
  tenant_id: string;
  /** What was asked for: `job:<id>` and so on. */
  scope: string;
  key: string;
  run_id: string;
  created_at: GeneratedTime;
}

/** What a customer gave for one run alone; gone when the run has ended. */
export interface RunSecretsTable {
  run_id: string;
  /** An age identity, sealed to the vault recipient. This or the next. */
  identity_sealed: string | null;
  /** Of a source that is not saved, sealed to the credentials recipient. */
  source_secret_sealed: string | null;
  created_at: CreatedAt;
}

/** A key that snapshots of the tenant may be encrypted to, the present one among them. */
export interface TenantKeysTable {
  tenant_id: string;
  recipient: string;
  /** Sealed to the vault recipient; null when the customer holds it. */
  identity_sealed: string | null;
  created_at: CreatedAt;
  /** When another took its place for new snapshots. */
  retired_at: NullableTime;
}

/** An account at a provider that a tenant has let the platform read. */
export interface ConnectionsTable {
  id: string;
  tenant_id: string;
  provider: 'google_drive' | 'dropbox';
  name: string;
  status: Generated<'active' | 'reauthorize' | 'deleted'>;
  /** rclone's form of the token, sealed to the credentials recipient. */
  token_sealed: string | null;
  /** Grows with each token: an older one never overwrites a newer. */
  generation: Generated<number>;
  access_expires_at: NullableTime;
  created_at: CreatedAt;
  updated_at: GeneratedTime;
}

export interface SettingsTable {
  key: string;
  value: JSONColumnType<Record<string, unknown>>;
}

export interface Database {
  tenants: TenantsTable;
  users: UsersTable;
  memberships: MembershipsTable;
  workers: WorkersTable;
  sources: SourcesTable;
  destinations: DestinationsTable;
  jobs: JobsTable;
  runs: RunsTable;
  run_attempts: RunAttemptsTable;
  run_events: RunEventsTable;
  outbox: OutboxTable;
  snapshots: SnapshotsTable;
  exports: ExportsTable;
  audit_log: AuditLogTable;
  schedule_fires: ScheduleFiresTable;
  idempotency_keys: IdempotencyKeysTable;
  settings: SettingsTable;
  connections: ConnectionsTable;
  run_secrets: RunSecretsTable;
  tenant_keys: TenantKeysTable;
}

export type RunRow = Selectable<RunsTable>;
export type TenantRow = Selectable<TenantsTable>;
export type SnapshotRow = Selectable<SnapshotsTable>;
export type WorkerRow = Selectable<WorkersTable>;
