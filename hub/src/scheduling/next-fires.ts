import { createHash } from 'node:crypto';
import { beforeBlackout, isBlackedOut, leaveBlackout } from './blackout.ts';
import { localTimesOf, nextNominal } from './nominal-times.ts';
import type { Schedule, TimedSchedule } from './schedule.schema.ts';

export interface Fire {
  /** The instant the schedule names, moved out of blackout windows; it identifies the fire. */
  readonly scheduledFor: Date;
  /** `scheduledFor` and jitter; before the next fire's `scheduledFor`, and outside of blackout windows. */
  readonly fireAt: Date;
}

const minuteMs = 60_000;

/** At most `count` fires with `scheduledFor` later than `after`, in order. `seed` (the job's id) decides the jitter. */
export function nextFires(schedule: Schedule, after: Date, count: number, seed: string): Fire[] {
  const fires: Fire[] = [];
  if (count <= 0) return fires;
  for (const fire of firesAfter(schedule, after, seed)) {
    fires.push(fire);
    if (fires.length >= count) break;
  }
  return fires;
}

/** The first fire after `after`, or null for a schedule that does not fire by itself. */
export function nextFire(schedule: Schedule, after: Date, seed: string): Fire | null {
  return nextFires(schedule, after, 1, seed)[0] ?? null;
}

/** Fires without end, in order; none for `manual`. */
export function* firesAfter(schedule: Schedule, after: Date, seed: string): Generator<Fire, void, undefined> {
  if (schedule.type === 'manual') return;
  const times = localTimesOf(schedule);
  const next = (instant: number) => nextScheduled(schedule, times, instant);
  let current = next(after.getTime());
  while (current !== null) {
    if (schedule.jitter_seconds === 0) {
      yield { scheduledFor: new Date(current), fireAt: new Date(current) };
      current = next(current);
    } else {
      const following = next(current);
      const fireAt = current + jitterMs(schedule, current, following, seed);
      yield { scheduledFor: new Date(current), fireAt: new Date(fireAt) };
      current = following;
    }
  }
}

function nextScheduled(
  { timezone, blackout }: TimedSchedule,
  times: ReturnType<typeof localTimesOf>,
  after: number,
): number | null {
  if (blackout.length === 0) return nextNominal(times, timezone, after);
  // What was named inside the window that holds `after` may have been moved to a later instant.
  let from = beforeBlackout(timezone, blackout, after);
  for (;;) {
    const nominal = nextNominal(times, timezone, from);
    if (nominal === null) return null;
    const moved = leaveBlackout(timezone, blackout, nominal);
    if (moved > after) return moved;
    // All that lies between the two is moved to the same end.
    from = Math.max(nominal, moved - 1);
  }
}

/** The same for the same job and fire, however often and wherever it is asked. */
function jitterMs(schedule: TimedSchedule, scheduledFor: number, following: number | null, seed: string): number {
  const room = roomSeconds(schedule, scheduledFor, following);
  if (room === 0) return 0;
  const hash = createHash('sha256').update(`${seed}\n${scheduledFor}`).digest();
  return (hash.readUIntBE(0, 6) % (room + 1)) * 1000;
}

function roomSeconds(schedule: TimedSchedule, scheduledFor: number, following: number | null): number {
  const { jitter_seconds: jitter, blackout, timezone } = schedule;
  const untilNext = following === null ? jitter : Math.floor((following - scheduledFor) / 1000) - 1;
  const room = Math.min(jitter, untilNext);
  if (blackout.length === 0) return room;
  for (let minute = 1; minute * 60 <= room; minute += 1) {
    // Windows and changes of the clocks begin at full minutes.
    if (isBlackedOut(timezone, blackout, scheduledFor + minute * minuteMs)) return minute * 60 - 1;
  }
  return room;
}
