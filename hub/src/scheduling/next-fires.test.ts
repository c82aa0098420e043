import { expect, test } from 'vitest';
import { nextFires } from './next-fires.ts';
import { completeSchedule, type ScheduleInput, scheduleInput } from './schedule.schema.ts';

function fires(input: Record<string, unknown>, after: string, count: number): string[] {
  const parsed: ScheduleInput = scheduleInput.parse(input);
  return nextFires(completeSchedule(parsed, 'UTC'), new Date(after), count, 'job').map((fire) =>
    fire.scheduledFor.toISOString().replace(':00.000Z', 'Z'),
  );
}
const daily = (timezone: string, time: string) => ({ type: 'daily', timezone, time });
const cron = (timezone: string, expression: string) => ({ type: 'cron', timezone, expression });

test.each([
  // Clocks forward: a time that does not exist becomes the first instant after the gap.
  ['Europe/Berlin', '02:30', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:30Z']],
  ['Europe/Berlin', '02:00', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T00:00Z']],
  ['Europe/Berlin', '03:00', '2026-03-28T12:00Z', ['2026-03-29T01:00Z', '2026-03-30T01:00Z']],
  ['Europe/Berlin', '01:59', '2026-03-28T12:00Z', ['2026-03-29T00:59Z', '2026-03-29T23:59Z']],
  ['America/New_York', '02:30', '2026-03-07T15:00Z', ['2026-03-08T07:00Z', '2026-03-09T06:30Z']],
  ['Australia/Lord_Howe', '02:15', '2026-10-03T00:00Z', ['2026-10-03T15:30Z', '2026-10-04T15:15Z']],
  ['Australia/Lord_Howe', '02:30', '2026-10-03T00:00Z', ['2026-10-03T15:30Z', '2026-10-04T15:30Z']],
  // Clocks back: a time that comes twice fires at the first.
  ['Europe/Berlin', '02:30', '2026-10-24T12:00Z', ['2026-10-25T00:30Z', '2026-10-26T01:30Z']],
  ['Europe/Berlin', '02:00', '2026-10-24T12:00Z', ['2026-10-25T00:00Z', '2026-10-26T01:00Z']],
  ['Europe/Berlin', '03:00', '2026-10-24T12:00Z', ['2026-10-25T02:00Z', '2026-10-26T02:00Z']],
  ['America/New_York', '01:30', '2026-10-31T15:00Z', ['2026-11-01T05:30Z', '2026-11-02T06:30Z']],
  ['Australia/Lord_Howe', '01:45', '2026-04-04T00:00Z', ['2026-04-04T14:45Z', '2026-04-05T15:15Z']],
  ['Australia/Lord_Howe', '01:15', '2026-04-04T00:00Z', ['2026-04-04T14:15Z', '2026-04-05T14:45Z']],
  // A zone whose day itself begins after the gap.
  ['America/Santiago', '00:30', '2026-09-05T12:00Z', ['2026-09-06T04:00Z', '2026-09-07T03:30Z']],
])('daily in %s at %s after %s', (zone, time, after, expected) => {
  expect(fires(daily(zone, time), after, 2)).toEqual(expected);
});

test('between the two occurrences of its time a daily schedule goes on with the next day', () => {
  expect(fires(daily('Europe/Berlin', '02:30'), '2026-10-25T00:30Z', 1)).toEqual(['2026-10-26T01:30Z']);
  expect(fires(daily('Europe/Berlin', '02:30'), '2026-10-25T01:10Z', 1)).toEqual(['2026-10-26T01:30Z']);
});

test('a cron with fixed hours fires once for all that falls in the gap, and once for what comes twice', () => {
  const schedule = cron('Europe/Berlin', '*/15 2 * * *');
  expect(fires(schedule, '2026-03-28T12:00Z', 2)).toEqual(['2026-03-29T01:00Z', '2026-03-30T00:00Z']);
  expect(fires(schedule, '2026-10-24T12:00Z', 5)).toEqual([
    '2026-10-25T00:00Z',
    '2026-10-25T00:15Z',
    '2026-10-25T00:30Z',
    '2026-10-25T00:45Z',
    '2026-10-26T01:00Z',
  ]);
  expect(fires(cron('Europe/Berlin', '30 2,14 * * *'), '2026-03-28T14:00Z', 2)).toEqual([
    '2026-03-29T01:00Z',
    '2026-03-29T12:30Z',
  ]);
});

test('a cron that runs on follows elapsing time over both changes', () => {
  const times = (expression: string, after: string, count: number) =>
    fires(cron('Europe/Berlin', expression), after, count).map((text) => text.slice(11, 16));
  expect(times('*/20 * * * *', '2026-03-29T00:20Z', 4)).toEqual(['00:40', '01:00', '01:20', '01:40']);
  expect(times('*/20 * * * *', '2026-10-25T00:20Z', 6)).toEqual(['00:40', '01:00', '01:20', '01:40', '02:00', '02:20']);
  expect(times('30 * * * *', '2026-03-28T23:45Z', 3)).toEqual(['00:30', '01:30', '02:30']);
  expect(times('30 * * * *', '2026-10-24T23:45Z', 3)).toEqual(['00:30', '01:30', '02:30']);
  // 02:00 is skipped by the clocks: it comes two hours after midnight all the same.
  expect(times('0 */2 * * *', '2026-03-28T22:00Z', 4)).toEqual(['23:00', '01:00', '02:00', '04:00']);
  expect(times('0 */2 * * *', '2026-10-24T21:00Z', 5)).toEqual(['22:00', '00:00', '01:00', '03:00', '05:00']);
  expect(times('25,50 */2 * * *', '2026-03-29T00:00Z', 4)).toEqual(['01:25', '01:50', '02:25', '02:50']);
});

test('a half-hour change of the clocks', () => {
  const times = (after: string, count: number) =>
    fires(cron('Australia/Lord_Howe', '*/30 * * * *'), after, count).map((text) => text.slice(11, 16));
  expect(times('2026-10-03T14:45Z', 4)).toEqual(['15:00', '15:30', '16:00', '16:30']);
  expect(times('2026-04-04T14:00Z', 4)).toEqual(['14:30', '15:00', '15:30', '16:00']);
});

test('weekly: the days that are named, 1 is Monday and 7 is Sunday', () => {
  const schedule = { type: 'weekly', timezone: 'Europe/Berlin', time: '02:30', weekdays: [7, 1] };
  expect(fires(schedule, '2026-03-23T12:00Z', 4)).toEqual([
    '2026-03-29T01:00Z',
    '2026-03-30T00:30Z',
    '2026-04-05T00:30Z',
    '2026-04-06T00:30Z',
  ]);
});

test('29 February waits for its year, also over 2100', () => {
  expect(fires(cron('UTC', '0 0 29 2 *'), '2096-03-01T00:00Z', 1)).toEqual(['2104-02-29T00:00Z']);
});

test('a fire in a blackout window starts once, at the end of the window', () => {
  const nights = { ...cron('Europe/Berlin', '0 * * * *'), blackout: [{ from: '22:00', to: '06:30' }] };
  expect(fires(nights, '2026-06-01T18:30Z', 4)).toEqual([
    '2026-06-01T19:00Z',
    '2026-06-02T04:30Z',
    '2026-06-02T05:00Z',
    '2026-06-02T06:00Z',
  ]);
  expect(fires(nights, '2026-06-02T01:10Z', 1)).toEqual(['2026-06-02T04:30Z']);
  const atEnd = { ...cron('UTC', '0 * * * *'), blackout: [{ from: '22:00', to: '06:00' }] };
  expect(fires(atEnd, '2026-06-01T21:00Z', 2)).toEqual(['2026-06-02T06:00Z', '2026-06-02T07:00Z']);
});

test('blackout windows on named days, to midnight, and one after the other', () => {
  const weekend = {
    ...daily('UTC', '12:00'),
    blackout: [
      { weekdays: [6, 7], from: '00:00', to: '24:00' },
      { weekdays: [7], from: '23:00', to: '05:00' },
      { weekdays: [1], from: '05:00', to: '08:15' },
    ],
  };
  // 2026-06-05 is a Friday.
  expect(fires(weekend, '2026-06-05T00:00Z', 3)).toEqual([
    '2026-06-05T12:00Z',
    '2026-06-08T08:15Z',
    '2026-06-08T12:00Z',
  ]);
});

test('a blackout window that ends in the gap ends at the first instant after it', () => {
  const schedule = { ...daily('Europe/Berlin', '01:30'), blackout: [{ from: '01:00', to: '02:30' }] };
  expect(fires(schedule, '2026-03-28T12:00Z', 1)).toEqual(['2026-03-29T01:00Z']);
});

test('a manual schedule never fires', () => {
  expect(fires({ type: 'manual' }, '2026-01-01T00:00Z', 5)).toEqual([]);
});

test('jitter spreads jobs over its range', () => {
  const schedule = completeSchedule(scheduleInput.parse({ ...daily('UTC', '02:00'), jitter_seconds: 600 }), 'UTC');
  const lateSeconds = Array.from({ length: 300 }, (_, job) => {
    const fire = nextFires(schedule, new Date('2026-01-01T00:00Z'), 1, `job-${job}`)[0];
    return fire === undefined ? Number.NaN : (fire.fireAt.getTime() - fire.scheduledFor.getTime()) / 1000;
  });
  expect(Math.min(...lateSeconds)).toBeLessThan(60);
  expect(Math.max(...lateSeconds)).toBeGreaterThan(540);
  expect(Math.max(...lateSeconds)).toBeLessThanOrEqual(600);
});
