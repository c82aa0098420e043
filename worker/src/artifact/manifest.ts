import { idSchema } from '@xvault/shared/ids.ts';
import { snapshotResult } from '@xvault/shared/snapshots.ts';
import { z } from 'zod';
import { checksumOfHalves } from './stored-checksum.ts';

const count = z.int().min(0);
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);
const storedFile = z.strictObject({ name: z.string(), size_bytes: count, sha256: sha256Hex });
/**
 * `payload_sha256` is of all after the age header, kept where the storage can copy by itself. With `header_sha256`, which is of
 * the header, `sha256` is of these two, 32 bytes each, and not of the file: that was given its header without being read.
 */
const artifactFile = storedFile
  .extend({ payload_sha256: sha256Hex.optional(), header_sha256: sha256Hex.optional() })
  .refine(
    ({ sha256, payload_sha256: payload, header_sha256: header }) =>
      header === undefined || (payload !== undefined && checksumOfHalves(header, payload) === sha256),
    'the checksum is not that of header and payload',
  );

export const manifestFormat = 'xvault-snapshot';
export const manifestVersion = 1;

/** manifest.json: what is in a snapshot, without any file's name. */
export const manifestSchema = z.strictObject({
  format: z.literal(manifestFormat),
  format_version: z.literal(manifestVersion),
  snapshot_id: idSchema,
  tenant_id: idSchema,
  source_id: idSchema,
  job_id: idSchema,
  run_id: idSchema,
  started_at: z.iso.datetime(),
  finished_at: z.iso.datetime(),
  /** age( zstd frames( tar ) ) */
  artifact: artifactFile,
  /** age( zstd frames( JSON lines ) ) */
  index: storedFile,
  /** Of tar in one zstd frame of the artifact. */
  frame_bytes: count.min(1),
  tar_bytes: count,
  entry_count: count,
  file_count: count,
  source_bytes: count,
  /** Items that were skipped, or stored while they changed. */
  warning_count: count,
  encryption: z.strictObject({ algorithm: z.literal('age'), recipients: z.array(z.string()).min(1) }),
  engine: z.strictObject({ name: z.literal('archive'), version: z.string() }),
  versions: z.record(z.string(), z.string()),
  /** What the source said of itself: versions, table prefix, address of a site. */
  source: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).default({}),
});
export type Manifest = z.infer<typeof manifestSchema>;

/** meta.json: whose snapshot this is and where it came from, enough to rebuild the Hub's row from the disk alone. */
export const metaSchema = z.strictObject({
  format: z.literal('xvault-snapshot-meta'),
  format_version: z.literal(1),
  tenant_id: idSchema,
  source_id: idSchema,
  job_id: idSchema,
  run_id: idSchema,
  attempt: z.int().min(1),
  epoch: z.int().min(1),
  worker_id: idSchema,
  destination_id: idSchema,
  created_at: z.iso.datetime(),
  result: snapshotResult.omit({ locator: true }),
});
export type SnapshotMeta = z.infer<typeof metaSchema>;
