import { z } from 'zod';
import { idSchema } from './ids.ts';

/** Where a snapshot lives. */
export const locator = z.discriminatedUnion('storage_backend', [
  z.strictObject({
    storage_backend: z.literal('local_fs'),
    worker_id: idSchema,
    /** Directory of the snapshot, relative to the worker's storage root. */
    local_path: z.string().min(1).max(1024),
  }),
]);
export type Locator = z.infer<typeof locator>;

const bytes = z.int().min(0);
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

/** What a backup run reports when its artifact is published. */
export const snapshotResult = z.strictObject({
  snapshot_id: idSchema,
  locator,
  entry_count: bytes,
  file_count: bytes,
  /** Sum of the regular files' sizes. */
  source_bytes: bytes,
  /** Size of the tar stream before compression. */
  tar_bytes: bytes,
  /** Artifact and index together, as stored. */
  stored_bytes: bytes,
  artifact_bytes: bytes,
  artifact_sha256: sha256Hex,
  index_bytes: bytes,
  index_sha256: sha256Hex,
  encryption: z.strictObject({ algorithm: z.literal('age'), recipients: z.array(z.string()).min(1) }),
});
export type SnapshotResult = z.infer<typeof snapshotResult>;

/** Part of a spec that reads a snapshot back. */
export const snapshotRef = z.strictObject({
  snapshot_id: idSchema,
  source_id: idSchema,
  locator,
  artifact_bytes: bytes,
  artifact_sha256: sha256Hex,
  index_bytes: bytes,
  index_sha256: sha256Hex,
});
export type SnapshotRef = z.infer<typeof snapshotRef>;
