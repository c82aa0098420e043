import { z } from 'zod';
import { idSchema } from './ids.ts';
import { absolutePath } from './source-kinds/common.ts';
import { sourceConnection } from './sources.ts';

/** `encrypted` is the artifact as it is stored, for whoever holds the key. */
export const exportFormats = ['tar.zst', 'tar.gz', 'zip', 'encrypted'] as const;
export type ExportFormat = (typeof exportFormats)[number];

/**
 * What to do with something that is there already: leave it, replace it when the snapshot's is newer, replace it, or put the
 * restored one beside it under a name of its own.
 */
export const overwritePolicy = z.enum(['never', 'if_newer', 'always', 'rename']);
export type OverwritePolicy = z.infer<typeof overwritePolicy>;

const exportTarget = z.strictObject({ type: z.literal('export'), format: z.enum(exportFormats).default('tar.zst') });

const directoryTarget = z.strictObject({
  type: z.literal('directory'),
  /** Must not exist, or be empty. */
  path: absolutePath,
  /** Keep setuid, setgid bits of files. */
  allow_setuid: z.boolean().default(false),
});

const placeTarget = {
  /** Null for where the source itself reads. For S3 the part after the first slash is a key prefix. */
  path: absolutePath.nullable().default(null),
  overwrite: overwritePolicy.default('never'),
};

const databaseTarget = {
  /** Which databases of the snapshot, and the name that each is restored under; null restores all under their own. */
  databases: z.record(z.string().min(1).max(255), z.string().min(1).max(255)).nullable().default(null),
  /** Replace databases that exist; otherwise one that exists and is not empty fails the run before anything is written. */
  overwrite_databases: z.boolean().default(false),
};

/** As the API takes it. `source_id` null is the source that the snapshot was made of. */
export const restoreTargetInput = z.discriminatedUnion('type', [
  exportTarget,
  directoryTarget,
  z.strictObject({ type: z.literal('source'), source_id: idSchema.nullable().default(null), ...placeTarget }),
  z.strictObject({ type: z.literal('database'), source_id: idSchema.nullable().default(null), ...databaseTarget }),
]);
export type RestoreTargetInput = z.infer<typeof restoreTargetInput>;

/** As a run's spec carries it, with the connection frozen in. */
export const restoreTarget = z.discriminatedUnion('type', [
  exportTarget,
  directoryTarget,
  z.strictObject({ type: z.literal('source'), source_id: idSchema, source: sourceConnection, ...placeTarget }),
  z.strictObject({ type: z.literal('database'), source_id: idSchema, source: sourceConnection, ...databaseTarget }),
]);
export type RestoreTarget = z.infer<typeof restoreTarget>;

export const restoreActions = ['create', 'overwrite', 'skip', 'rename', 'fail'] as const;
/** What a restore did, or as a dry run would do, to one path. */
export const restoreChange = z.strictObject({
  path: z.string(),
  action: z.enum(restoreActions),
  type: z.enum(['file', 'directory', 'symlink', 'hardlink', 'database']),
  size_bytes: z.int().min(0),
});
export type RestoreChange = z.infer<typeof restoreChange>;
