import { performance } from 'node:perf_hooks';
import type { RunKind } from '@xvault/shared/run-kinds.ts';
import { Throttle } from '../engines/archive/bandwidth.ts';
import type { RunContext } from './handler.ts';

/** Limits may change with every run that begins or ends; the list of events is not for all of that. */
const eventEveryMs = 30_000;

type Context = Pick<RunContext<RunKind>, 'bandwidth' | 'emit'>;

export interface RunThrottle {
  readonly throttle: Throttle;
  /** When the run is over. */
  end(): void;
}

/** The smaller of the run's own limit and what the Hub allows at the moment. */
export function runThrottle(context: Context, ownLimitBps: number | null): RunThrottle {
  const throttle = new Throttle(limitOf(context, ownLimitBps));
  return { throttle, end: followLimit(context, ownLimitBps, () => throttle.changed()) };
}

/** What holds at the moment it is asked for. */
export function limitOf({ bandwidth }: Pick<Context, 'bandwidth'>, ownLimitBps: number | null): () => number | null {
  return () => smallest(ownLimitBps, bandwidth.limitBps);
}

/** Calls `onChange` after each change, and tells the customer of changes. Returns what ends that. */
export function followLimit(context: Context, ownLimitBps: number | null, onChange: () => void): () => void {
  const limit = limitOf(context, ownLimitBps);
  let toldBps = limit();
  let toldAtMs = Number.NEGATIVE_INFINITY;
  return context.bandwidth.onChange(() => {
    onChange();
    const limitBps = limit();
    if (limitBps === toldBps || performance.now() - toldAtMs < eventEveryMs) return;
    toldBps = limitBps;
    toldAtMs = performance.now();
    context.emit({
      type: 'progress',
      level: 'info',
      code: 'BANDWIDTH_CHANGED',
      message_id: 'bandwidth_changed',
      params: { limit_bps: limitBps },
    });
  });
}

function smallest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}
