import { minutesOf } from './blackout.ts';
import { type LocalTimes, parseCron } from './cron-expression.ts';
import type { TimedSchedule } from './schedule.schema.ts';
import { firstInstant, firstOf, meaningOf, offsetAt } from './time-zone.ts';

/** No zone's clocks are set by more than this in one night. */
const largestChangeMs = 3 * 3_600_000;

/** The local times that a schedule names. */
export function localTimesOf(schedule: TimedSchedule): LocalTimes {
  if (schedule.type === 'cron') return parseCron(schedule.expression);
  const minutes = minutesOf(schedule.time);
  const days = schedule.type === 'weekly' ? schedule.weekdays.join(',') : '*';
  return parseCron(`${minutes % 60} ${Math.floor(minutes / 60)} * * ${days}`);
}

/** The first instant after `after` that the schedule's local times mean, or null when there is none. */
export function nextNominal(times: LocalTimes, zone: string, after: number): number | null {
  return times.followsRealTime ? nextRunning(times, zone, after) : nextOfDay(times, zone, after);
}

/** Each local time once: where clocks are set forward, the first instant after; where they are set back, the first of the two. */
function nextOfDay(times: LocalTimes, zone: string, after: number): number | null {
  let wall: number | null = after + offsetAt(zone, after);
  for (;;) {
    wall = times.next(wall);
    if (wall === null) return null;
    const instant = firstInstant(zone, wall);
    if (instant > after) return instant;
  }
}

/**
 * As time elapses: twice where the clocks are set back. What the clocks skip when set forward comes when it would have come, had they
 * not been set.
 */
function nextRunning(times: LocalTimes, zone: string, after: number): number | null {
  const offset = offsetAt(zone, after);
  const wall = times.next(after + offset);
  if (wall === null) return null;
  const near = (instant: number) =>
    offsetAt(zone, instant - largestChangeMs) === offset && offsetAt(zone, instant + largestChangeMs) === offset;
  if (near(after) && near(wall - offset)) return wall - offset;
  return nextByEachMeaning(times, zone, after, offset);
}

/** The slow and sure way for the hours around a change: whatever each local time means, in order. */
function nextByEachMeaning(times: LocalTimes, zone: string, after: number, offset: number): number | null {
  let best = Number.POSITIVE_INFINITY;
  let wall = times.next(after + offset - largestChangeMs);
  while (wall !== null) {
    const meaning = meaningOf(zone, wall);
    for (const instant of meaning.gap === null ? meaning.instants : [meaning.gap.shifted]) {
      if (instant > after) best = Math.min(best, instant);
    }
    // The first occurrence (or the gap's end) grows with the local time, so nothing earlier can follow.
    if (firstOf(meaning) >= best) return best;
    wall = times.next(wall);
  }
  return Number.isFinite(best) ? best : null;
}
