import { idSchema } from '@xvault/shared/ids.ts';
import { archiveOptions, validationLevel } from '@xvault/shared/run-kinds.ts';
import { cryptSecret, syncOptions } from '@xvault/shared/sync-options.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';
import { schedule, scheduleInput } from '../scheduling/schedule.schema.ts';

const name = z.string().trim().min(1).max(255);
const validationMode = z.enum(['none', 'post_run']);
/** Of the verification after a backup. */
const validation_level = validationLevel;
/** Bigger goes first among the tenant's own runs. */
const priority = z.int().min(-100).max(100);
/** Tries at a run, the first included. */
const maxAttempts = z.int().min(1).max(10);

export const createJobBody = z.strictObject({
  name,
  source_id: idSchema,
  destination_id: idSchema,
  engine: z.enum(['archive', 'sync']).default('archive'),
  /** Of the archive engine. */
  options: archiveOptions.prefault({}),
  /** Of the sync engine; needed for it and refused for the other. */
  sync: syncOptions.optional(),
  /** For those who want to read a `sync` with encryption by their own rclone; made at random where absent. Sealed on arrival. */
  crypt: cryptSecret.optional(),
  schedule: scheduleInput.default({ type: 'manual' }),
  validation_mode: validationMode.default('none'),
  validation_level: validation_level.default('full'),
  priority: priority.default(0),
  max_attempts: maxAttempts.default(3),
});
export type CreateJob = z.infer<typeof createJobBody>;

/** `options` and `schedule` replace the former ones whole. */
export const patchJobBody = z
  .strictObject({
    name,
    options: archiveOptions,
    sync: syncOptions,
    schedule: scheduleInput,
    status: z.enum(['active', 'paused']),
    validation_mode: validationMode,
    validation_level,
    priority,
    max_attempts: maxAttempts,
  })
  .partial();
export type PatchJob = z.infer<typeof patchJobBody>;

export const jobView = z.strictObject({
  id: idSchema,
  name: z.string(),
  source_id: idSchema,
  destination_id: idSchema,
  engine: z.string(),
  options: z.record(z.string(), z.unknown()),
  sync: z.record(z.string(), z.unknown()).nullable(),
  schedule,
  /** Null while paused, and for a manual schedule. */
  next_run_at: z.iso.datetime().nullable(),
  status: z.enum(['active', 'paused']),
  validation_mode: validationMode,
  validation_level,
  priority: z.int(),
  max_attempts: z.int(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export const jobPage = pageOf(jobView);
