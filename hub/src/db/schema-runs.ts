import type { Progress } from '@xvault/shared/internal-api.ts';
import type { SlotClass } from '@xvault/shared/run-kinds.ts';
import type { ColumnType, Generated } from 'kysely';
import type { CreatedAt, Json, NullableJson, NullableTime, Time } from './column-types.ts';

export type RunStatus = 'queued' | 'dispatched' | 'running' | 'success' | 'warning' | 'failed' | 'cancelled';
export type ValidationStatus = 'not_run' | 'running' | 'success' | 'failed';

/** Columns of {@link Progress}, kept as the worker last said. */
type ProgressColumns = { [K in keyof Progress]: Generated<Progress[K]> };

export interface RunsTable extends ProgressColumns {
  id: string;
  tenant_id: string;
  kind: string;
  trigger: 'manual' | 'schedule' | 'validation' | 'retry' | 'api';
  status: Generated<RunStatus>;
  job_id: string | null;
  source_id: string | null;
  /** Of the snapshot read (restore, validation, files) or, once committed, made (backup). */
  snapshot_id: string | null;
  /** Made at each start of a backup; becomes `snapshot_id` when committed. */
  pending_snapshot_id: string | null;
  export_id: string | null;
  destination_id: string | null;
  /** Of the worker's slots: what the catalogue said of the kind. */
  slot: Generated<SlotClass>;
  /** Whether it needs free disk on its worker: from its kind and destination. */
  writes_disk: Generated<boolean>;
  pool: Generated<string>;
  required_worker_id: string | null;
  /** `host:port` for the per-host limit. */
  source_host: string | null;
  priority: Generated<number>;
  spec: Json<Record<string, unknown>>;
  /** Attempts that count against `max_attempts` are those not handed back. */
  attempt: Generated<number>;
  handed_back: Generated<number>;
  max_attempts: Generated<number>;
  /** The fence: grows at each admission and each time an attempt is taken from its worker. */
  epoch: Generated<number>;
  /** Who carries it out; while dispatched, the one worker that is to take it, if not any of the pool. */
  worker_id: string | null;
  worker_host: string | null;
  lease_token_hash: string | null;
  lease_expires_at: NullableTime;
  cancel_requested_at: NullableTime;
  /** Not to be admitted before (retry backoff). */
  not_before: NullableTime;
  event_count: Generated<number>;
  /** Highest worker event sequence stored in this epoch. */
  worker_seq: Generated<number>;
  warnings: Generated<number>;
  error_code: string | null;
  error_summary: string | null;
  error_detail: string | null;
  log_excerpt: string | null;
  result: NullableJson<Record<string, unknown>>;
  validation_status: Generated<ValidationStatus>;
  /** Flags and where keys came from, never values; for operators. */
  diagnostics: NullableJson<Record<string, string | number | boolean | null>>;
  queued_at: CreatedAt;
  dispatched_at: NullableTime;
  started_at: NullableTime;
  finished_at: NullableTime;
  heartbeat_at: NullableTime;
  notified_at: NullableTime;
}

/** How each attempt ended, for people and for the audit of admissions. */
export interface RunAttemptsTable {
  run_id: string;
  attempt: number;
  epoch: number;
  worker_id: string | null;
  admitted_at: Time;
  started_at: NullableTime;
  ended_at: NullableTime;
  outcome: string | null;
  error_code: string | null;
  /** Kept so that a repeated finish is known for what it is. */
  lease_token_hash: string | null;
  /** The id given to this attempt of a backup; what lies in storage under it is litter once the attempt ended uncommitted. */
  snapshot_id: string | null;
  /** What the worker was told when it finished; null when the attempt was taken from it. */
  run_status: string | null;
}

export interface RunEventsTable {
  run_id: string;
  /** 1, 2, 3 … within the run. */
  id: number;
  ts: ColumnType<Date, string, never>;
  type: string;
  level: string;
  code: string;
  message_id: string;
  params: Json<Record<string, string | number | boolean | null>>;
}

export interface OutboxTable {
  id: Generated<number>;
  lane: string;
  run_id: string;
  attempt: number;
  /** A Hub is sending it until then. */
  claimed_until: NullableTime;
  created_at: CreatedAt;
}
