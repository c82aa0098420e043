import { fileSearch } from '@xvault/shared/browse.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import { restoreTargetInput } from '@xvault/shared/restore-targets.ts';
import { fileEntry, validationLevel } from '@xvault/shared/run-kinds.ts';
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
  /** Of the last verification that came to a verdict. */
  validation_level: validationLevel.nullable(),
  /** What that found, in a line or two. */
  validation_excerpt: z.string().nullable(),
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
  target: restoreTargetInput,
  /** List what would change, change nothing: for targets that may hold something already. */
  dry_run: z.boolean().default(false),
  /** An age identity that opens the snapshot, for a tenant that holds its key itself. Used for this run and then forgotten. */
  identity: z
    .string()
    .max(8192)
    .regex(/^AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]+$/, 'must be an age identity (AGE-SECRET-KEY-…)')
    .nullable()
    .default(null),
});
export type RestoreBody = z.infer<typeof restoreBody>;
export const restoreAccepted = z.strictObject({ run: runView, export_id: idSchema.nullable() });

export const validateBody = z
  .strictObject({
    /** `quick`: sizes, the manifest, the ends of the encrypted files. `full`: every byte. */
    level: validationLevel.default('full'),
  })
  .nullish();

const { text, glob } = fileSearch.shape;
const size = z.coerce.number().int().min(0);
const time = z.iso.datetime({ offset: true });

export const filesQuery = z.strictObject({
  /** Directory to list; without it the top of the snapshot. */
  path: z.string().max(65_536).default(''),
  recursive: z.enum(['true', 'false']).default('false'),
  /** `next_offset` of the page before. */
  offset: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(100),
  /** With one of the following it is a search of all below the path; what is given must hold all at once. */
  text: text.unwrap().unwrap().optional(),
  glob: glob.unwrap().unwrap().optional(),
  /** Of files. */
  min_size_bytes: size.optional(),
  max_size_bytes: size.optional(),
  /** At or after. */
  modified_after: time.optional(),
  /** Before. */
  modified_before: time.optional(),
});
export const filesPage = z.strictObject({
  entries: z.array(fileEntry),
  /** `offset` of the page after; null at the end. */
  next_offset: z.int().nullable(),
});
