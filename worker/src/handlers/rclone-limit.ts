import type { RcClient } from '../engines/sync/rclone/rc-client.ts';
import type { RunContext } from './handler.ts';
import { followLimit, limitOf } from './run-throttle.ts';

/**
 * Holds all that an rclone reads and writes to the smaller of the run's own limit and the Hub's, also when that changes. Returns what
 * ends that.
 */
export async function keepLimit(
  context: Pick<RunContext<'backup'>, 'bandwidth' | 'emit' | 'signal' | 'note'>,
  rc: RcClient,
  ownLimitBps: number | null,
): Promise<() => void> {
  const limit = limitOf(context, ownLimitBps);
  let applied: number | null = null;
  // One after the other: rclone answers only when what waits by the old limit has passed.
  let applying = Promise.resolve();
  const apply = () => {
    applying = applying
      .catch(() => undefined)
      .then(async () => {
        const wanted = limit();
        if (wanted === applied) return;
        const rate = wanted === null ? 'off' : `${Math.max(1, Math.floor(wanted))}B`;
        await rc.call('core/bwlimit', { rate }, context.signal);
        applied = wanted;
      });
    return applying;
  };
  let isOver = false;
  const stop = followLimit(context, ownLimitBps, () => {
    apply().catch((error: unknown) => {
      if (!isOver) context.note(`the bandwidth limit could not be changed: ${String(error)}`);
    });
  });
  const end = () => {
    isOver = true;
    stop();
  };
  try {
    await apply();
    return end;
  } catch (error) {
    end();
    throw error;
  }
}
