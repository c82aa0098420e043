import { firstInstant, nextInstant, wallOf } from './time-zone.ts';

const minuteMs = 60_000;
const dayMinutes = 1440;
const dayMs = dayMinutes * minuteMs;
const weekMinutes = 7 * dayMinutes;

/** A stretch of local time in which nothing starts. */
export interface BlackoutWindow {
  /** Days on which it begins, 1 = Monday; every day when left out. */
  readonly weekdays?: readonly number[] | undefined;
  /** `HH:MM`, belongs to the window. */
  readonly from: string;
  /** `HH:MM` or `24:00`, does not belong to it; earlier than `from` when it ends on the next day. */
  readonly to: string;
}

/** Minutes since midnight. */
export function minutesOf(time: string): number {
  return Number(time.slice(0, 2)) * 60 + Number(time.slice(3, 5));
}

interface Span {
  readonly startWall: number;
  readonly endWall: number;
}

/** Windows that hold this local time. */
function spansAt(windows: readonly BlackoutWindow[], wall: number): Span[] {
  const today = Math.floor(wall / dayMs) * dayMs;
  const spans: Span[] = [];
  for (const window of windows) {
    for (const day of [today, today - dayMs]) {
      if (window.weekdays !== undefined && !window.weekdays.includes(weekdayOf(day))) continue;
      const span = spanOn(window, day);
      if (span.startWall <= wall && wall < span.endWall) spans.push(span);
    }
  }
  return spans;
}

function spanOn({ from, to }: BlackoutWindow, day: number): Span {
  const start = minutesOf(from);
  const end = minutesOf(to);
  return {
    startWall: day + start * minuteMs,
    endWall: day + (end > start ? end : end + dayMinutes) * minuteMs,
  };
}

function weekdayOf(wall: number): number {
  return new Date(wall).getUTCDay() || 7;
}

export function isBlackedOut(zone: string, windows: readonly BlackoutWindow[], instant: number): boolean {
  return spansAt(windows, wallOf(zone, instant)).length > 0;
}

/** The instant itself when it is in no window, else the end of the windows it is in, one after the other. */
export function leaveBlackout(zone: string, windows: readonly BlackoutWindow[], instant: number): number {
  let at = instant;
  for (;;) {
    const ends = spansAt(windows, wallOf(zone, at)).map((span) => span.endWall);
    if (ends.length === 0) return at;
    at = nextInstant(zone, Math.max(...ends), at);
  }
}

/** An instant outside of all windows, such that whatever lies between it and `instant` is inside. */
export function beforeBlackout(zone: string, windows: readonly BlackoutWindow[], instant: number): number {
  let at = instant;
  for (;;) {
    const starts = spansAt(windows, wallOf(zone, at)).map((span) => span.startWall);
    if (starts.length === 0) return at;
    at = Math.min(firstInstant(zone, Math.min(...starts)), at) - minuteMs;
  }
}

/** Whether the windows leave not one minute of the week. */
export function coversWeek(windows: readonly BlackoutWindow[]): boolean {
  const monday = Date.UTC(2024, 0, 1);
  const covered = new Set<number>();
  for (const window of windows) {
    for (let day = 0; day < 7; day += 1) {
      if (window.weekdays !== undefined && !window.weekdays.includes(day + 1)) continue;
      const { startWall, endWall } = spanOn(window, monday + day * dayMs);
      for (let wall = startWall; wall < endWall; wall += minuteMs) {
        covered.add(((wall - monday) / minuteMs) % weekMinutes);
      }
    }
  }
  return covered.size === weekMinutes;
}
