import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isBlackedOut } from './blackout.ts';
import { nextFires } from './next-fires.ts';
import type { TimedSchedule } from './schedule.schema.ts';

const zone = fc.constantFrom(
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'America/Santiago',
  'Asia/Beirut',
  'Africa/Casablanca',
  'Pacific/Chatham',
  'Asia/Kathmandu',
  'UTC',
);
const minuteOfDay = fc.integer({ min: 0, max: 1439 });
const timeOf = (minute: number) =>
  `${String(Math.floor(minute / 60)).padStart(2, '0')}:${String(minute % 60).padStart(2, '0')}`;
const time = minuteOfDay.map(timeOf);
/** Often an hour that the clocks skip or repeat. */
const riskyTime = fc.oneof(time, fc.integer({ min: 0, max: 239 }).map(timeOf));
const instant = fc.date({
  min: new Date('2024-01-01T00:00Z'),
  max: new Date('2034-01-01T00:00Z'),
  noInvalidDate: true,
});
const plain: Pick<TimedSchedule, 'jitter_seconds' | 'blackout' | 'catch_up' | 'start_deadline_minutes' | 'overlap'> = {
  jitter_seconds: 0,
  blackout: [],
  catch_up: 'skip',
  start_deadline_minutes: null,
  overlap: 'skip',
};

const formats = new Map<string, Intl.DateTimeFormat>();
/** Local date and time by another way than the product's. */
function local(timeZone: string, at: Date): { date: string; time: string; stamp: number } {
  let format = formats.get(timeZone);
  if (format === undefined) {
    const fields = { year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit' } as const;
    format = new Intl.DateTimeFormat('sv-SE', { timeZone, ...fields });
    formats.set(timeZone, format);
  }
  const text = format.format(at);
  return { date: text.slice(0, 10), time: text.slice(11), stamp: Date.parse(`${text.replace(' ', 'T')}:00Z`) };
}

function expectIncreasing(instants: readonly Date[]): void {
  for (const [index, at] of instants.entries()) {
    const previous = instants[index - 1];
    if (previous !== undefined) expect(at.getTime()).toBeGreaterThan(previous.getTime());
  }
}

test('daily: one fire on each local date, none missing, none twice, at its time or right after a gap', () => {
  fc.assert(
    fc.property(zone, riskyTime, instant, (timezone, at, after) => {
      const fires = nextFires({ type: 'daily', time: at, timezone, ...plain }, after, 400, 'job');
      expectIncreasing(fires.map((fire) => fire.scheduledFor));
      let previousDay: number | undefined;
      for (const { scheduledFor } of fires) {
        const here = local(timezone, scheduledFor);
        const day = Date.parse(`${here.date}T00:00Z`) / 86_400_000;
        if (previousDay !== undefined) expect(day).toBe(previousDay + 1);
        previousDay = day;
        if (here.time === at) continue;
        // Not at its time: then this minute is the end of a gap that holds the time.
        const before = local(timezone, new Date(scheduledFor.getTime() - 60_000));
        const named = Date.parse(`${here.date}T${at}:00Z`);
        expect(before.stamp).toBeLessThan(named);
        expect(here.stamp).toBeGreaterThan(named);
      }
    }),
    { numRuns: 150 },
  );
});

test('crons with fixed hours agree with a walk through every minute', () => {
  const change = fc.constantFrom(
    ['Europe/Berlin', '2027-03-27T22:00Z'],
    ['Europe/Berlin', '2027-10-30T20:00Z'],
    ['America/New_York', '2028-03-12T04:00Z'],
    ['America/New_York', '2028-11-05T03:00Z'],
    ['Australia/Lord_Howe', '2029-10-06T12:00Z'],
    ['Australia/Lord_Howe', '2029-03-31T12:00Z'],
  );
  const minutes = fc.uniqueArray(fc.integer({ min: 0, max: 59 }), { minLength: 1, maxLength: 4 });
  const hours = fc.uniqueArray(fc.integer({ min: 0, max: 5 }), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(change, minutes, hours, ([timezone = '', start = ''], minute, hour) => {
      const expected = new Set<string>();
      const seen = new Set<number>();
      let latest = local(timezone, new Date(start)).stamp;
      for (let ms = Date.parse(start) + 60_000; ms < Date.parse(start) + 10 * 3_600_000; ms += 60_000) {
        const { stamp } = local(timezone, new Date(ms));
        // All local times that have come up to now, each when it or a later one is first seen.
        for (let wall = latest + 60_000; wall <= stamp; wall += 60_000) {
          const named = new Date(wall);
          if (seen.has(wall) || !hour.includes(named.getUTCHours()) || !minute.includes(named.getUTCMinutes()))
            continue;
          seen.add(wall);
          expected.add(new Date(ms).toISOString());
        }
        latest = Math.max(latest, stamp);
      }
      const expression = `${minute.join(',')} ${hour.join(',')} * * *`;
      const fires = nextFires({ type: 'cron', expression, timezone, ...plain }, new Date(start), expected.size, 'job');
      expect(fires.map((fire) => fire.scheduledFor.toISOString())).toEqual([...expected]);
    }),
    { numRuns: 120 },
  );
});

test('every n minutes: always n minutes apart, over all changes of whole hours', () => {
  const hourly = fc.constantFrom('Europe/Berlin', 'America/New_York', 'Asia/Beirut', 'UTC');
  fc.assert(
    fc.property(hourly, fc.constantFrom(1, 5, 10, 15, 20, 30), instant, (timezone, every, after) => {
      // The night of each change lies in these days of March and October or November.
      for (const month of [2, 9, 10]) {
        const start = new Date(Date.UTC(after.getUTCFullYear(), month, month === 9 ? 25 : 1));
        const expression = `*/${every} * * * *`;
        const fires = nextFires({ type: 'cron', expression, timezone, ...plain }, start, (4 * 1440) / every, 'job');
        for (const [index, fire] of fires.entries()) {
          expect(fire.scheduledFor.getTime()).toBe(start.getTime() + (index + 1) * every * 60_000);
        }
      }
    }),
    { numRuns: 10 },
  );
});

const windows = fc.array(
  fc
    .record({
      weekdays: fc.option(fc.uniqueArray(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 4 }), {
        nil: undefined,
      }),
      // Together they can never cover the hour from 12:00.
      start: fc.integer({ min: 780, max: 1439 }),
      end: fc.integer({ min: 1, max: 719 }),
      sameDay: fc.boolean(),
    })
    .map(({ weekdays, start, end, sameDay }) =>
      sameDay ? { weekdays, from: timeOf(0), to: timeOf(end) } : { weekdays, from: timeOf(start), to: timeOf(end) },
    ),
  { maxLength: 4 },
);
const anySchedule: fc.Arbitrary<TimedSchedule> = fc
  .tuple(
    zone,
    fc.integer({ min: 0, max: 3600 }),
    windows,
    fc.oneof(
      riskyTime.map((at) => ({ type: 'daily', time: at }) as const),
      riskyTime.map((at) => ({ type: 'weekly' as const, time: at, weekdays: [2, 7] })),
      fc
        .constantFrom('*/7 * * * *', '0 */2 * * *', '10,50 1-3 * * *', '0 3 1 * *', '*/20 2 * * SUN', '25 */3 * * SUNL')
        .map((expression) => ({ type: 'cron', expression }) as const),
    ),
  )
  .map(([timezone, jitterSeconds, blackout, kind]) => ({
    ...plain,
    ...kind,
    timezone,
    blackout,
    jitter_seconds: jitterSeconds,
  }));

test('jitter and blackout: in order, outside of windows, before the next fire, the same from wherever it is asked', () => {
  fc.assert(
    fc.property(anySchedule, instant, fc.nat(29), (schedule, after, cut) => {
      const fires = nextFires(schedule, after, 30, 'job-1');
      expect(fires).toHaveLength(30);
      expectIncreasing(fires.flatMap((fire) => [fire.scheduledFor]));
      for (const [index, { scheduledFor, fireAt }] of fires.entries()) {
        const late = fireAt.getTime() - scheduledFor.getTime();
        expect(late).toBeGreaterThanOrEqual(0);
        expect(late).toBeLessThanOrEqual(schedule.jitter_seconds * 1000);
        const following = fires[index + 1];
        if (following !== undefined) expect(fireAt.getTime()).toBeLessThan(following.scheduledFor.getTime());
        expect(isBlackedOut(schedule.timezone, schedule.blackout, scheduledFor.getTime())).toBe(false);
        expect(isBlackedOut(schedule.timezone, schedule.blackout, fireAt.getTime())).toBe(false);
      }
      const from = fires[cut]?.scheduledFor ?? after;
      expect(nextFires(schedule, from, 29 - cut, 'job-1')).toEqual(fires.slice(cut + 1));
      const between = new Date(Math.floor((after.getTime() + (fires[0]?.scheduledFor.getTime() ?? 0)) / 2));
      expect(nextFires(schedule, between, 3, 'job-1')).toEqual(fires.slice(0, 3));
    }),
    { numRuns: 200 },
  );
});
