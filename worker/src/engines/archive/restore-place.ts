import { XVaultError } from '@xvault/shared/errors.ts';
import type { OverwritePolicy, RestoreChange } from '@xvault/shared/restore-targets.ts';
import type { TargetSession } from '../../connectors/target.ts';
import { Rereading } from './restore-again.ts';
import { inOrder } from './restore-in-order.ts';
import { withFirstNames } from './restore-links.ts';
import { MadeDirectories } from './restore-made.ts';
import type { RestoreOrigin } from './restore-origin.ts';
import { type PlacedEntry, Placing } from './restore-placing.ts';
import type { RestorePlan } from './restore-plan.ts';
import { type OnRestoreProgress, RestoreProgress } from './restore-progress.ts';
import { renameMark } from './restore-rename.ts';
import { withoutHoles } from './restore-sparse.ts';
import { SteadyTarget } from './restore-steady.ts';
import { type ActionCounts, type RestoreListener, RestoreTally } from './restore-tally.ts';
import { finishDirectories, writeEntries } from './restore-writing.ts';

export interface PlaceRestoreOptions extends RestoreListener {
  readonly origin: RestoreOrigin;
  /** Connects to the target; asked again when the connection breaks. */
  readonly connect: () => Promise<TargetSession>;
  readonly policy: OverwritePolicy;
  /** Finds out what would be done and changes nothing. */
  readonly dryRun: boolean;
  readonly runId: string;
  /** When the run was asked for. */
  readonly createdAtMs: number;
  /** An earlier attempt of the run may have written. */
  readonly isRetry: boolean;
  /** A directory of the worker's own, for notes between attempts. */
  readonly notesDir: string;
  /** Waits until so many more bytes may be written. */
  readonly throttle?: (bytes: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
  readonly onProgress?: OnRestoreProgress;
}

export interface PlaceRestoreResult {
  /** Files that were written. */
  readonly fileCount: number;
  readonly bytes: number;
  readonly actions: ActionCounts;
  /** Of a dry run. */
  readonly changes: RestoreChange[];
}

/** Entries looked at ahead of those that are written. */
const lookAhead = 4;

/**
 * Restores into a place that may hold things already, each of which is treated as the policy says. A path that fails is told of
 * and the others go on. Throws RESTORE_PATH_NOT_FOUND, RESTORE_TARGET_INVALID, STORAGE_FULL, RESTORE_FAILED when nothing could
 * be restored, SOURCE_… for the connection, ARTIFACT_…; the signal's reason when aborted.
 */
export async function restoreToPlace(options: PlaceRestoreOptions): Promise<PlaceRestoreResult> {
  const { origin, signal, dryRun } = options;
  const plan = await origin.plan({ allowSetuid: false, signal });
  const made = dryRun ? null : await MadeDirectories.open(options.notesDir, options.runId);
  let isDone = false;
  try {
    const target = await SteadyTarget.open(options.connect, signal);
    try {
      const result = await restoreTo(target, plan, made, options);
      isDone = true;
      return result;
    } finally {
      await target.close();
    }
  } finally {
    await made?.close(isDone);
  }
}

async function restoreTo(
  target: SteadyTarget,
  plan: RestorePlan,
  made: MadeDirectories | null,
  options: PlaceRestoreOptions,
): Promise<PlaceRestoreResult> {
  const { origin, signal, dryRun, policy, runId, createdAtMs } = options;
  const tally = new RestoreTally(dryRun, options);
  const progress = new RestoreProgress(plan, options.onProgress);
  const placing = new Placing({
    target,
    policy,
    dryRun,
    made,
    renameMark: renameMark(createdAtMs, runId),
    retryOfNs: options.isRetry ? BigInt(createdAtMs) * 1_000_000n : null,
    tally,
    progress,
  });
  const placed = placeAll(plan, placing, target, options);
  if (dryRun) {
    for await (const { member, action, place } of placed) tally.done(action, member, place);
  } else {
    const { throttle } = options;
    const writing = { origin, target, placing, tally, progress, signal, ...(throttle && { throttle }) };
    const rereading = new Rereading(origin, options);
    await writeEntries(writing, rereading.noted(placed));
    await rereading.writeMoved(writing);
    await finishDirectories(writing);
    await target.do(async (session) => session.flush?.(signal));
    if (tally.isFailure) throw new XVaultError('RESTORE_FAILED', { detail: 'not one of the paths could be restored' });
  }
  const { fileCount, bytes, counts, changes } = tally;
  return { fileCount, bytes, actions: counts, changes };
}

async function* placeAll(
  plan: RestorePlan,
  placing: Placing,
  target: SteadyTarget,
  { origin, signal }: PlaceRestoreOptions,
): AsyncGenerator<PlacedEntry> {
  const entries = origin.entries(plan, signal);
  const atOnce = target.writesInFlight * lookAhead;
  for await (const placed of inOrder(withFirstNames(withoutHoles(entries)), atOnce, (entry) => placing.place(entry))) {
    if (placed !== null) yield placed;
  }
}
