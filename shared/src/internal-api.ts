import { z } from 'zod';
import { destinationConnection } from './destinations.ts';
import { errorCodes } from './errors.ts';
import { eventParams, workerEvent } from './events.ts';
import { idSchema } from './ids.ts';
import { runKindNames, runResult, runSpec } from './run-kinds.ts';

/** The Hub's API for workers, below `/internal/v1`. All but `enrol` carry the worker's own token as bearer. */

export const capability = z.enum(['backup', 'restore', 'validation', 'retention', 'probe', 'maintenance', 'vault']);
export type Capability = z.infer<typeof capability>;

/** POST /workers/enrol, bearer: the enrolment token. Asking again with the same id makes a new token and ends the old one. */
export const enrolRequest = z.strictObject({ worker_id: idSchema, name: z.string().min(1).max(255) });
export const enrolResponse = z.strictObject({ worker_token: z.string() });

/** POST /workers/register, at each start of a worker. */
export const registerRequest = z.strictObject({
  worker_id: idSchema,
  /** Made once by each process: with another one the runs that the process before it held are taken from it. */
  boot_id: idSchema,
  pool: idSchema,
  slots: z.int().min(1).max(1024),
  capabilities: z.array(capability),
  /** Where customers fetch exports from this worker. */
  public_url: z.url(),
  host: z.string().max(255),
  version: z.string().max(64),
  disk_free_bytes: z.int().min(0),
  disk_total_bytes: z.int().min(0),
});
export type RegisterRequest = z.infer<typeof registerRequest>;
export const registerResponse = z.strictObject({
  worker_id: idSchema,
  heartbeat_active_ms: z.int(),
  heartbeat_idle_ms: z.int(),
  event_max_per_run: z.int(),
  progress_interval_ms: z.int(),
});
export type RegisterResponse = z.infer<typeof registerResponse>;

/**
 * POST /runs/:id/start. The same nonce gets the same answer; a stale attempt gets 409
 * ATTEMPT_SUPERSEDED; one that this worker cannot or may not take now gets 409 WORKER_UNSUITABLE and goes to another.
 */
export const startRequest = z.strictObject({
  attempt: z.int32().min(1),
  worker_id: idSchema,
  nonce: z.string().min(16).max(128),
});
export type StartRequest = z.infer<typeof startRequest>;
export const startResponse = z.strictObject({
  run_id: idSchema,
  tenant_id: idSchema,
  kind: z.enum(runKindNames),
  attempt: z.int32().min(1),
  epoch: z.int32().min(1),
  lease_token: z.string(),
  lease_ms: z.int().min(1000),
  spec: runSpec,
  /** Made anew for each attempt of a backup, or of a maintenance for the copy that it makes; null for other kinds. */
  snapshot_id: idSchema.nullable(),
  /** Of a backup that follows symlinks on the worker's own disk: where they may lead besides the source. */
  follow_roots: z.array(z.string()).optional(),
  /** Sealed to the credentials recipient. */
  source_secret_sealed: z.string().nullable(),
  /** Of the destination that is written or read, where it has a secret; sealed to the credentials recipient. */
  destination_secret_sealed: z.string().nullable(),
  /** Of the source that is restored to; sealed to the credentials recipient. */
  target_secret_sealed: z.string().nullable(),
  /** The tenant's identities, newest first, sealed to the vault recipient; only for kinds that read a snapshot. */
  tenant_identities_sealed: z.array(z.string()),
  /** Password of the job's rclone crypt; sealed to the credentials recipient. */
  job_secret_sealed: z.string().nullable().optional(),
  /** The OAuth connection that the source acts by. */
  connection: z
    .strictObject({
      connection_id: idSchema,
      provider: z.enum(['google_drive', 'dropbox']),
      /** `reauthorize`: the provider is known not to take the token any more. */
      status: z.enum(['active', 'reauthorize']).default('active'),
      /** The refresh token and what belongs to it, sealed to the credentials recipient. */
      token_sealed: z.string(),
      /** Grows with each token that was sealed again: an older one is refused. */
      generation: z.int32().min(1),
    })
    .nullable()
    .optional(),
  /** What the customer gave for this run alone, sealed to the vault recipient. */
  run_identity_sealed: z.string().nullable(),
  /** Bytes a second that the run may read or write now; null for no limit. */
  bandwidth_limit_bps: z.int().min(1).nullable(),
});
export type StartResponse = z.infer<typeof startResponse>;

export const progress = z.strictObject({
  /** Per cent, two decimals; null while the total is unknown. */
  progress_pct: z.number().min(0).max(100).nullable(),
  bytes_total: z.int().min(0).nullable(),
  bytes_transferred: z.int().min(0),
  objects_total: z.int().min(0).nullable(),
  objects_transferred: z.int().min(0),
  speed_bytes_per_sec: z.int().min(0),
  eta_seconds: z.int().min(0).nullable(),
  current_item: z.string().max(1024).nullable(),
});
export type Progress = z.infer<typeof progress>;

/** POST /heartbeat: one for all the runs of a worker. */
export const heartbeatRequest = z.strictObject({
  worker_id: idSchema,
  slots_in_use: z.int32().min(0),
  load_1m: z.number().min(0),
  disk_free_bytes: z.int().min(0),
  runs: z
    .array(
      z.strictObject({
        run_id: idSchema,
        epoch: z.int32().min(1),
        lease_token: z.string(),
        progress: progress.nullable(),
        events: z.array(workerEvent).max(500),
      }),
    )
    .max(1024),
});
export type HeartbeatRequest = z.infer<typeof heartbeatRequest>;
export const heartbeatResponse = z.strictObject({
  /** Take no tickets until it is false again; what runs goes on. */
  drain: z.boolean(),
  runs: z.array(
    z.strictObject({
      run_id: idSchema,
      /** `continue`: the lease is extended. `cancel`: also extended; end the run as cancelled. `superseded`: stop, report nothing. */
      action: z.enum(['continue', 'cancel', 'superseded']),
      /** Events up to this sequence are stored. */
      events_stored_to: z.int().min(0),
      /** As at start; it may change while the run goes on. */
      bandwidth_limit_bps: z.int().min(1).nullable().optional(),
    }),
  ),
});
export type HeartbeatResponse = z.infer<typeof heartbeatResponse>;

const outcomeBase = {
  /** Items that were skipped or stored while changing. */
  warnings: z.int32().min(0),
  /** For operators: the last lines of what happened, redacted, at most 64 KiB. */
  log_excerpt: z.string().max(65536).nullable(),
};
/** How an attempt ended, as a value. */
export const outcome = z.discriminatedUnion('status', [
  z.strictObject({ status: z.literal('completed'), result: runResult, ...outcomeBase }),
  z.strictObject({
    status: z.literal('failed'),
    error_code: z.enum(errorCodes),
    /** Fills the sentence for the customer. */
    error_params: eventParams,
    /** For operators. */
    error_detail: z.string().max(4096).nullable(),
    ...outcomeBase,
  }),
  z.strictObject({ status: z.literal('cancelled'), ...outcomeBase }),
  /** The worker is shutting down; the attempt does not count. */
  z.strictObject({ status: z.literal('handed_back'), ...outcomeBase }),
]);
export type Outcome = z.infer<typeof outcome>;
export type OutcomeInput = z.input<typeof outcome>;

/** POST /runs/:id/finish. The same epoch and lease get the same answer again. */
export const finishRequest = z.strictObject({
  epoch: z.int32().min(1),
  lease_token: z.string(),
  progress: progress.nullable(),
  events: z.array(workerEvent).max(5000),
  outcome,
});
export type FinishRequest = z.infer<typeof finishRequest>;
export type FinishRequestInput = z.input<typeof finishRequest>;
export const finishResponse = z.strictObject({
  /** The run's status now; `queued` when another attempt follows. */
  run_status: z.enum(['queued', 'success', 'warning', 'failed', 'cancelled']),
});
export type FinishResponse = z.infer<typeof finishResponse>;

/**
 * POST /runs/:id/notes, while the lease holds: what must be kept whatever becomes of the run. 409 ATTEMPT_SUPERSEDED when it is
 * no longer the worker's.
 */
export const notesRequest = z.strictObject({
  epoch: z.int32().min(1),
  lease_token: z.string(),
  /** Flags and where keys came from, never values; for operators. */
  diagnostics: z
    .record(z.string().max(100), z.union([z.string().max(200), z.number(), z.boolean(), z.null()]))
    .optional(),
  /** What the provider made of the connection's token. */
  connection: z
    .discriminatedUnion('status', [
      z.strictObject({
        status: z.literal('active'),
        connection_id: idSchema,
        /** Of the token that was renewed. */
        generation: z.int32().min(1),
        token_sealed: z.string().max(65_536),
        access_expires_at: z.iso.datetime(),
      }),
      z.strictObject({
        status: z.literal('reauthorize'),
        connection_id: idSchema,
        generation: z.int32().min(1),
      }),
    ])
    .optional(),
});
export type NotesRequest = z.infer<typeof notesRequest>;
export const notesResponse = z.strictObject({
  /** Of the connection after it; null where there is none. */
  generation: z.int32().min(1).nullable(),
});

/**
 * POST /storage/live: which directories of this worker's storage may stay. The worker removes the others; what the Hub
 * does not list as removable is left alone.
 */
export const storageLiveRequest = z.strictObject({
  worker_id: idSchema,
  /** The items are in a bucket, where other workers write as well: those of their attempts count too. */
  shared: z.boolean().default(false),
  items: z.array(z.strictObject({ snapshot_id: idSchema, epoch: z.int32().min(0).nullable() })).max(1000),
});
export const storageLiveResponse = z.strictObject({
  /** Ids of the request that belong to no live attempt and no snapshot row. */
  removable: z.array(z.strictObject({ snapshot_id: idSchema, epoch: z.int32().min(0).nullable() })),
});

/** POST /exports/:id/claim: a customer came with a link; ends the link, if it is to be, and says what to send. */
export const claimRequest = z.strictObject({
  worker_id: idSchema,
  link_token: z.string().max(4096),
  /** False only asks what the link would give. */
  consume: z.boolean().default(true),
});
export const claimResponse = z.strictObject({
  export_id: idSchema,
  file_name: z.string(),
  size_bytes: z.int().min(0),
  /** When the export goes. */
  expires_at: z.iso.datetime(),
  /** Where it is when not on the worker's own shelf. */
  s3: z
    .strictObject({
      object_key: z.string(),
      destination: destinationConnection,
      /** Sealed to the credentials recipient. */
      destination_secret_sealed: z.string().nullable(),
    })
    .nullable(),
});
