import { z } from 'zod';
import { archiveOptions } from './archive-options.ts';
import { browseItem, browseRequest, fileSearch } from './browse.ts';
import { destinationConnection } from './destinations.ts';
import { assertNever } from './errors.ts';
import { idSchema } from './ids.ts';
import { restoreActions, restoreChange, restoreTarget } from './restore-targets.ts';
import { locator, snapshotEncryption, snapshotRef, snapshotResult } from './snapshots.ts';
import { sourceConnection } from './sources.ts';
import { syncOptions } from './sync-options.ts';

export { type ArchiveOptions, archiveOptions } from './archive-options.ts';
export { type RestoreTarget, restoreTarget } from './restore-targets.ts';

/**
 * A path inside a snapshot, as text. Names that are not UTF-8 are written with each foreign byte as `\xHH`, and a
 * backslash itself as `\\`, so that every name has exactly one text form.
 */
const snapshotPath = z.string().min(1).max(65536);

const backupSpec = z.strictObject({
  kind: z.literal('backup'),
  job_id: idSchema,
  source_id: idSchema,
  source: sourceConnection,
  destination_id: idSchema,
  destination: destinationConnection,
  engine: z.enum(['archive', 'sync']),
  /** Of the archive engine. */
  options: archiveOptions,
  /** Of the sync engine; null for the other. */
  sync: syncOptions.nullable().default(null),
  /** age recipients that the artifact and index are encrypted to. */
  recipients: z.array(z.string()).min(1),
});

const restoreSpec = z.strictObject({
  kind: z.literal('restore'),
  snapshot: snapshotRef,
  /** Entries to restore, directories with all below them; null restores all. */
  paths: z.array(snapshotPath).min(1).max(10_000).nullable(),
  target: restoreTarget,
  /** List what would change, change nothing. */
  dry_run: z.boolean().default(false),
  /** Set when the target is an export. */
  export_id: idSchema.nullable(),
  export_expires_at: z.iso.datetime().nullable(),
});

/** `quick`: sizes, the manifest's hash, the seek table. `full`: every byte. */
export const validationLevel = z.enum(['quick', 'full']);
export type ValidationLevel = z.infer<typeof validationLevel>;

const validationSpec = z.strictObject({
  kind: z.literal('validation'),
  snapshot: snapshotRef,
  level: validationLevel.default('full'),
  /** Whether there is a key at hand, so that what is stored can be opened; else it is only compared. */
  opened: z.boolean().default(true),
});

/** Null for a source that is not saved yet: its secret was given for the run alone. */
const askedSource = idSchema.nullable();

const probeSpec = z.strictObject({
  kind: z.literal('probe'),
  probe: z.discriminatedUnion('type', [
    /** Connect to a source, read its root, report the host key. */
    z.strictObject({ type: z.literal('source'), source_id: askedSource, source: sourceConnection }),
    /** Write, read and remove a small object of a destination. */
    z.strictObject({
      type: z.literal('destination'),
      destination_id: idSchema,
      destination: destinationConnection,
    }),
    /** List or search files of a snapshot in its index. */
    z.strictObject({
      type: z.literal('files'),
      snapshot: snapshotRef,
      path: z.string().max(65536).default(''),
      recursive: z.boolean().default(false),
      /** Index line to go on from. */
      offset: z.int().min(0).default(0),
      limit: z.int().min(1).max(1000).default(100),
      search: fileSearch.nullable().default(null),
    }),
    /** List what a source could be pointed at; names and ids only. */
    z.strictObject({
      type: z.literal('browse'),
      source_id: askedSource,
      source: sourceConnection,
      ...browseRequest.shape,
    }),
  ]),
});

/** Removes the bytes of a snapshot; that there are none left is success. */
const retentionSpec = z.strictObject({
  kind: z.literal('retention'),
  snapshot: snapshotRef,
  /** Of the sync engine: the job's other versions, which share objects with this one. */
  keep_versions: z.array(z.string()).default([]),
});

/** Rewrites the age headers of a snapshot for other recipients; the payload stays as it is. */
const maintenanceSpec = z.strictObject({
  kind: z.literal('maintenance'),
  task: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('rewrap'),
      snapshot: snapshotRef,
      recipients: z.array(z.string()).min(1),
    }),
  ]),
});

export const runSpec = z.discriminatedUnion('kind', [
  backupSpec,
  restoreSpec,
  validationSpec,
  retentionSpec,
  probeSpec,
  maintenanceSpec,
]);
export type RunSpec = z.infer<typeof runSpec>;
export type RunKind = RunSpec['kind'];
export type SpecOf<K extends RunKind> = Extract<RunSpec, { kind: K }>;
/** A spec before its defaults are filled in. */
export type SpecInput<K extends RunKind> = Extract<z.input<typeof runSpec>, { kind: K }>;

/** One file of a snapshot as the API shows it. */
export const fileEntry = z.strictObject({
  path: z.string(),
  type: z.enum(['file', 'directory', 'symlink', 'hardlink']),
  size_bytes: z.int().min(0),
  mode: z.string(),
  uid: z.int(),
  gid: z.int(),
  /** RFC 3339, nine digits of fraction. */
  mtime: z.string(),
  link_target: z.string().nullable(),
  sha256: z.string().nullable(),
  /** What a bucket said of the object: `etag`, `content_type`, and its own metadata as `meta:<name>`. */
  attributes: z.record(z.string(), z.string()).optional(),
});
export type FileEntry = z.infer<typeof fileEntry>;

const backupResult = z.strictObject({ kind: z.literal('backup'), snapshot: snapshotResult });
const restoreResult = z.strictObject({
  kind: z.literal('restore'),
  file_count: z.int().min(0),
  bytes: z.int().min(0),
  export: z
    .strictObject({
      size_bytes: z.int().min(0),
      sha256: z.string(),
      file_name: z.string(),
      /** Where it lies when not on the worker's own shelf. */
      s3: z.strictObject({ bucket: z.string(), object_key: z.string() }).nullable().default(null),
    })
    .nullable(),
  /** How many paths met each action. */
  actions: z.partialRecord(z.enum(restoreActions), z.int().min(0)).default({}),
  /** Of a dry run: the first of what would change. */
  changes: z.array(restoreChange).max(1000).default([]),
});
const validationResult = z.strictObject({
  kind: z.literal('validation'),
  verdict: z.enum(['success', 'failed']),
  files_checked: z.int().min(0),
  bytes_checked: z.int().min(0),
  /** At most 100 entries that differ, as snapshot paths. */
  differing: z.array(z.string()).max(100),
  /** Set when the verdict is failed. */
  error_code: z.string().nullable(),
  /** What was done and found, in a line or two without names of files. */
  excerpt: z.string().max(2000).default(''),
});
const retentionResult = z.strictObject({ kind: z.literal('retention') });
const maintenanceResult = z.strictObject({
  kind: z.literal('maintenance'),
  task: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('rewrap'),
      /** Of the copy that takes the place of what was read. */
      locator,
      artifact_bytes: z.int().min(0),
      artifact_sha256: z.string(),
      index_bytes: z.int().min(0),
      index_sha256: z.string(),
      manifest_bytes: z.int().min(0),
      manifest_sha256: z.string(),
      encryption: snapshotEncryption,
    }),
  ]),
});
const probeResult = z.strictObject({
  kind: z.literal('probe'),
  probe: z.discriminatedUnion('type', [
    z.strictObject({
      type: z.literal('source'),
      host_key: z.string().nullable(),
      server: z.string().nullable(),
      entry_names: z.array(z.string()).max(100),
      latency_ms: z.number().min(0),
      /** What counting found within a few seconds; `complete` when it came to the end. */
      measure: z
        .strictObject({ file_count: z.int().min(0), total_bytes: z.int().min(0), complete: z.boolean() })
        .nullable()
        .default(null),
      /** What else is worth knowing: versions, whether a shell and tar are there, databases. For people. */
      details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).default({}),
    }),
    z.strictObject({
      type: z.literal('destination'),
      latency_ms: z.number().min(0),
      free_bytes: z.int().min(0).nullable(),
      details: z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()])).default({}),
    }),
    z.strictObject({
      type: z.literal('files'),
      entries: z.array(fileEntry).max(1000),
      /** Index line to go on from, null at the end. */
      next_offset: z.int().min(0).nullable(),
    }),
    z.strictObject({
      type: z.literal('browse'),
      items: z.array(browseItem).max(1000),
      /** Null at the end. */
      next_cursor: z.string().nullable(),
    }),
  ]),
});
export const runResult = z.discriminatedUnion('kind', [
  backupResult,
  restoreResult,
  validationResult,
  retentionResult,
  probeResult,
  maintenanceResult,
]);
export type RunResult = z.infer<typeof runResult>;
export type ResultOf<K extends RunKind> = Extract<RunResult, { kind: K }>;
/** A result as a handler makes it, before its defaults are filled in. */
export type ResultInput<K extends RunKind = RunKind> = Extract<z.input<typeof runResult>, { kind: K }>;

export type SlotClass = 'data' | 'control';

interface KindEntry {
  /** `data` runs share the worker's slots; `control` runs are short and have slots of their own. */
  readonly slot: SlotClass;
  /** Attempts in all, the first included, when the error is retryable. */
  readonly maxAttempts: number;
}

/** The catalogue of run kinds. A worker starts only if it has exactly one handler for each. */
export const runKinds: Record<RunKind, KindEntry> = {
  backup: { slot: 'data', maxAttempts: 3 },
  restore: { slot: 'data', maxAttempts: 3 },
  validation: { slot: 'data', maxAttempts: 3 },
  retention: { slot: 'control', maxAttempts: 5 },
  probe: { slot: 'control', maxAttempts: 1 },
  maintenance: { slot: 'data', maxAttempts: 3 },
};
/** Whether it fills the disk of the worker that carries it out. */
export function writesDisk(spec: RunSpec): boolean {
  switch (spec.kind) {
    case 'backup':
      return spec.destination.type === 'local_fs';
    case 'maintenance':
      return spec.task.snapshot.destination.type === 'local_fs';
    // A nearly full worker must still give back what it holds; a restore looks at its own target's space.
    case 'restore':
    case 'validation':
    case 'retention':
    case 'probe':
      return false;
    default:
      return assertNever(spec);
  }
}
export const runKindNames = Object.keys(runKinds) as [RunKind, ...RunKind[]];
