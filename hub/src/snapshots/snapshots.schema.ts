import { idSchema } from '@xvault/shared/ids.ts';
import { fileEntry, restoreTarget } from '@xvault/shared/run-kinds.ts';
import { locator } from '@xvault/shared/snapshots.ts';
import { z } from 'zod';
import { pageOf, pageQuery } from '../http/pagination.ts';
import { runView } from '../runs/run-view.ts';

const status = z.enum(['committed', 'deleting', 'deleted', 'missing', 'corrupt']);
const bytes = z.int();

export const snapshotView = z.strictObject({
  id: idSchema,
  source_id: idSchema,
  job_id: idSchema,
  run_id: idSchema,
  destination_id: idSchema,
  status,
  locator,
  entry_count: z.int(),
  file_count: z.int(),
  /** Sum of the files' sizes. */
  source_bytes: bytes,
  tar_bytes: bytes,
  /** Artifact and index, as stored. */
  stored_bytes: bytes,
  artifact_bytes: bytes,
  artifact_sha256: z.string(),
  index_bytes: bytes,
  index_sha256: z.string(),
  encryption: z.strictObject({ algorithm: z.string(), recipients: z.array(z.string()) }),
  /** Items that were skipped or changed while they were read. */
  warnings: z.int(),
  validation_status: z.enum(['not_run', 'running', 'success', 'failed']),
  verified_at: z.iso.datetime().nullable(),
  locked_until: z.iso.datetime().nullable(),
  created_at: z.iso.datetime(),
});
export const snapshotPage = pageOf(snapshotView);

export const snapshotQuery = pageQuery.extend({
  job_id: idSchema.optional(),
  source_id: idSchema.optional(),
  status: status.optional(),
});

export const deleteQuery = z.strictObject({
  /** For operators of the platform: delete also the last good snapshot of its source. */
  force: z.enum(['true', 'false']).default('false'),
});

export const restoreBody = z.strictObject({
  /** Entries to restore, directories with all below them; null restores all. */
  paths: z.array(z.string().min(1).max(65_536)).min(1).max(10_000).nullable().default(null),
  target: restoreTarget,
});
export type RestoreBody = z.infer<typeof restoreBody>;
export const restoreAccepted = z.strictObject({ run: runView, export_id: idSchema.nullable() });

export const filesQuery = z.strictObject({
  /** Directory to list; without it the top of the snapshot. */
  path: z.string().max(65_536).default(''),
  recursive: z.enum(['true', 'false']).default('false'),
  offset: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
});
export const filesPage = z.strictObject({
  entries: z.array(fileEntry),
  /** `offset` of the page after; null at the end. */
  next_offset: z.int().nullable(),
});
