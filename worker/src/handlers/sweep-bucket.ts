import type { SnapshotStorage } from '../storage/storage.ts';
import { sweepStorage } from '../storage/sweeper.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';

/** A bucket that a run has the keys of is swept by that run, of what earlier attempts for its source left in it. */
export async function sweepBucket(
  { logger, signal }: Pick<RunContext<'backup' | 'maintenance'>, 'logger' | 'signal'>,
  { hub, workerId }: HandlerDeps,
  storage: SnapshotStorage,
): Promise<void> {
  try {
    await sweepStorage({ storage, hub, workerId, logger, shared: true });
  } catch (error) {
    signal.throwIfAborted();
    logger.warn({ err: error }, 'the bucket was not swept; the next run that writes to it tries again');
  }
}
