import { performance } from 'node:perf_hooks';
import type { RunKind } from '@xvault/shared/run-kinds.ts';
import { Throttle } from '../engines/archive/bandwidth.ts';
import type { RunContext } from './handler.ts';

/** Limits may change with every run that begins or ends; the list of events is not for all of that. */
const eventEveryMs = 30_000;

export interface RunThrottle {
  readonly throttle: Throttle;
  /** When the run is over. */
  end(): void;
}

/** The smaller of the run's own limit and what the Hub allows at the moment. */
export function runThrottle(
  context: Pick<RunContext<RunKind>, 'bandwidth' | 'emit'>,
  ownLimitBps: number | null,
): RunThrottle {
  const { bandwidth } = context;
  const limit = () => smallest(ownLimitBps, bandwidth.limitBps);
  const throttle = new Throttle(limit);
  let toldBps = limit();
  let toldAtMs = Number.NEGATIVE_INFINITY;
  const end = bandwidth.onChange(() => {
    throttle.changed();
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
  return { throttle, end };
}

function smallest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}
