import { XVaultError } from '@xvault/shared/errors.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { contentOf, type Filled, fillEntries } from './restore-contents.ts';
import { type RestoreEntry, restoreEntries } from './restore-entries.ts';
import { planRestore, type RestorePlan } from './restore-plan.ts';

/** What a restore reads: those paths of a snapshot that were asked for. */
export interface RestoreOrigin {
  /** Before anything is written. Throws RESTORE_PATH_NOT_FOUND. */
  plan(options: { readonly allowSetuid: boolean; readonly signal: AbortSignal }): Promise<RestorePlan>;
  /** Directories before what they hold; anew for each pass. */
  entries(plan: RestorePlan, signal: AbortSignal): AsyncIterable<RestoreEntry>;
  /** The entries with their contents, each of which must be read before the next entry is asked for, or not at all any more. */
  fill<Entry extends RestoreEntry>(entries: AsyncIterable<Entry>, signal: AbortSignal): AsyncIterable<Filled<Entry>>;
  /** The content of one entry, out of order. */
  contentOf(entry: RestoreEntry, signal: AbortSignal): AsyncIterable<Buffer>;
  /** What another run moved meanwhile, so that it may not be what was read: to be read again. Absent where nothing can move. */
  moved?(): Promise<readonly RestoreEntry[]>;
}

/** `paths`: snapshot paths as text, directories with all below them; null restores all. */
export function artifactOrigin(reader: ArtifactReader, paths: readonly string[] | null): RestoreOrigin {
  return {
    plan: (options) => planRestore(reader, paths, options),
    entries: (plan, signal) => restoreEntries(reader, plan, signal),
    fill: (entries, signal) => fillEntries(reader, entries, signal),
    contentOf: (entry, signal) => contentOf(reader, entry, signal),
  };
}

/** For what is published as a whole: another attempt reads it right. Throws STORAGE_FAILED. */
export async function demandUnmoved(origin: RestoreOrigin): Promise<void> {
  const moved = (await origin.moved?.()) ?? [];
  if (moved.length === 0) return;
  throw new XVaultError('STORAGE_FAILED', { detail: `another run moved ${moved.length} objects while they were read` });
}
