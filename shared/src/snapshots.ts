import { z } from 'zod';
import { destinationConnection } from './destinations.ts';
import { idSchema } from './ids.ts';

/** Where a snapshot lives. */
export const locator = z.discriminatedUnion('storage_backend', [
  z.strictObject({
    storage_backend: z.literal('local_fs'),
    worker_id: idSchema,
    /** Directory of the snapshot, relative to the worker's storage root. */
    local_path: z.string().min(1).max(1024),
  }),
  z.strictObject({
    storage_backend: z.literal('s3'),
    bucket: z.string().min(1).max(255),
    /** What the keys of the snapshot's files begin with; no slash at its end. */
    object_key: z.string().min(1).max(1024),
    /** Of the artifact, as the server gave it. */
    etag: z.string().max(255).nullable(),
  }),
  /** A version that the sync engine keeps. */
  z.strictObject({
    storage_backend: z.literal('rclone'),
    /** The worker whose disk it is on; null where every worker can reach it. */
    worker_id: idSchema.nullable(),
    /** Below the destination's root: what holds `current`, `versions` and `manifests`. */
    prefix: z.string().min(1).max(1024),
    /** Number of the version within the prefix and the epoch of the attempt that made it: they sort by age. */
    version: z.string().regex(/^\d{8}-\d{1,8}$/),
  }),
]);
export type Locator = z.infer<typeof locator>;

/** The one worker that can reach the snapshot; null when every worker can. */
export function ownerOf(place: Locator): string | null {
  return place.storage_backend === 's3' ? null : place.worker_id;
}

/** Directory below a worker's storage root. Throws for a snapshot that is in a bucket. */
export function localPathIn(place: Locator): string {
  if (place.storage_backend !== 'local_fs') throw new Error("the snapshot is not on a worker's disk");
  return place.local_path;
}

const bytes = z.int().min(0);
const sha256Hex = z.string().regex(/^[0-9a-f]{64}$/);

const storedFiles = {
  artifact_bytes: bytes,
  artifact_sha256: sha256Hex,
  index_bytes: bytes,
  index_sha256: sha256Hex,
  /** Of manifest.json; null for snapshots older than the field. */
  manifest_bytes: bytes.nullable().default(null),
  manifest_sha256: sha256Hex.nullable().default(null),
};

export const snapshotEncryption = z.strictObject({
  /** `rclone-crypt` and `none` are of the sync engine. */
  algorithm: z.enum(['age', 'rclone-crypt', 'none']),
  /** Empty unless by age. */
  recipients: z.array(z.string()),
});

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
  ...storedFiles,
  encryption: snapshotEncryption,
});
export type SnapshotResult = z.infer<typeof snapshotResult>;

/** Part of a spec that reads a snapshot back. */
export const snapshotRef = z.strictObject({
  snapshot_id: idSchema,
  source_id: idSchema,
  locator,
  ...storedFiles,
  /** Null, as in specs older than the field, is the worker's own disk. */
  destination_id: idSchema.nullable().default(null),
  destination: destinationConnection.default({ type: 'local_fs', config: {} }),
  engine: z.enum(['archive', 'sync']).default('archive'),
  /** Whose key a version of the sync engine is encrypted with. */
  job_id: idSchema.nullable().default(null),
});
export type SnapshotRef = z.infer<typeof snapshotRef>;
