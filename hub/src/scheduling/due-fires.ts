import { type Fire, firesAfter } from './next-fires.ts';
import type { Schedule } from './schedule.schema.ts';

export interface DueFires {
  /** In order; at most as many as asked for. */
  readonly due: readonly Fire[];
  /** Whether they are all that is due; if not, `following` is due as well. */
  readonly complete: boolean;
  readonly following: Fire | null;
}

/** The fires from `nextRunAt`, which is the `fireAt` of the first, until `now`, and the one that follows. */
export function dueFires(schedule: Schedule, seed: string, nextRunAt: Date, now: Date, limit: number): DueFires {
  const due: Fire[] = [];
  const jitterMs = schedule.type === 'manual' ? 0 : schedule.jitter_seconds * 1000;
  let following: Fire | null = null;
  for (const fire of firesAfter(schedule, new Date(nextRunAt.getTime() - jitterMs - 1), seed)) {
    if (fire.fireAt < nextRunAt) continue;
    following = fire;
    if (fire.fireAt > now || due.length >= limit) break;
    due.push(fire);
    following = null;
  }
  // The rules of a time zone may have changed since the time was written down: it is kept.
  if (due.length === 0) due.push({ scheduledFor: nextRunAt, fireAt: nextRunAt });
  return { due, complete: following === null || following.fireAt > now, following };
}

/** Later than this a fire counts as missed. */
export const toleranceMs = 5 * 60_000;

export interface Verdict {
  /** The one fire that makes a run, or null. */
  readonly fire: Fire | null;
  readonly missed: readonly Fire[];
}

/** However many fires are due, at most one run comes of them: of the newest, when it is recent or to be caught up with. */
export function judgeFires({ due, complete }: DueFires, catchUp: 'skip' | 'once', now: Date): Verdict {
  const newest = due.at(-1);
  if (!complete || newest === undefined) return { fire: null, missed: due };
  const isRecent = now.getTime() - newest.fireAt.getTime() <= toleranceMs;
  if (!isRecent && catchUp === 'skip') return { fire: null, missed: due };
  return { fire: newest, missed: due.slice(0, -1) };
}
