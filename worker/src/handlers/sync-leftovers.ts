import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import type { Side } from '../engines/sync/sides/side.ts';
import { openStorage } from '../storage/open-storage.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';

/**
 * Aborts uploads that killed attempts have left below a job's place in a bucket, where they cost without being seen: those begun
 * longer ago than the age. Only for a moment at which the run itself uploads nothing, and for a run that the Hub lets no other one
 * of its job go beside. Failing at it fails no run.
 */
export async function abortLeftovers(
  { start, signal, note }: Pick<RunContext<'backup'>, 'start' | 'signal' | 'note'>,
  deps: Pick<HandlerDeps, 'config' | 'storage' | 'workerId'>,
  connection: DestinationConnection,
  side: Side | undefined,
  ageMs = 0,
): Promise<void> {
  if (side === undefined || (connection.type !== 's3' && connection.type !== 'platform_s3')) return;
  const sealed = start.destination_secret_sealed;
  // The place of the job, from the bucket's root on: rclone puts a slash behind a prefix that has none.
  const { root } = side.remote;
  const keys = `${root.slice(root.indexOf('/') + 1)}/`;
  const begunBefore = ageMs === 0 ? undefined : new Date(Date.now() - ageMs);
  try {
    const { objects } = await openStorage({ destination: connection, sealed, signal, prefix: '' }, deps);
    const count = (await objects?.abortUploads(keys, begunBefore)) ?? 0;
    if (count > 0) note(`aborted ${count} uploads that earlier attempts had left`);
  } catch (error) {
    signal.throwIfAborted();
    note(
      `leftovers of earlier attempts could not be removed: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
