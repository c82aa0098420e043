import { expect, test } from 'vitest';
import { z } from 'zod';
import { completeSchedule, schedule, scheduleInput } from './schedule.schema.ts';

function problems(input: unknown): string[] {
  const parsed = scheduleInput.safeParse(input);
  return parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`);
}
const daily = { type: 'daily', time: '02:30' };
const cron = (expression: string) => ({ type: 'cron', expression });

test('what is left out is filled in; the zone is the tenant’s', () => {
  expect(completeSchedule(scheduleInput.parse(daily), 'Europe/Berlin')).toEqual({
    type: 'daily',
    time: '02:30',
    timezone: 'Europe/Berlin',
    jitter_seconds: 0,
    blackout: [],
    catch_up: 'skip',
    start_deadline_minutes: null,
    overlap: 'skip',
  });
});

test('a completed schedule is stored and read again as it is', () => {
  for (const input of [
    { type: 'manual' },
    { ...daily, timezone: 'America/New_York', blackout: [{ weekdays: [1], from: '22:00', to: '06:00' }] },
    { type: 'weekly', time: '23:59', weekdays: [1, 7], start_deadline_minutes: 30, overlap: 'queue', catch_up: 'once' },
    cron('*/15 1-5,7 L JAN-MAR MON'),
  ]) {
    const complete = completeSchedule(scheduleInput.parse(input), 'UTC');
    expect(schedule.parse(JSON.parse(JSON.stringify(complete)))).toEqual(complete);
  }
});

test.each([
  [{ type: 'daily', time: '24:00' }, 'time: must be a time from "00:00" to "23:59"'],
  [{ ...daily, time: '2:30' }, 'time: must be a time from "00:00" to "23:59"'],
  [
    { ...daily, timezone: 'Mars/Olympus' },
    'timezone: is not a time zone of the IANA database, such as "Europe/Berlin"',
  ],
  [{ ...daily, timezone: '+02:00' }, 'timezone: is not a time zone of the IANA database, such as "Europe/Berlin"'],
  [{ ...daily, speed: 1 }, ': Unrecognized key: "speed"'],
  [{ type: 'weekly', time: '02:30', weekdays: [1, 1] }, 'weekdays: must not name a day twice'],
  [cron('0 0 30 2 *'), 'expression: names a date that never comes'],
  [cron('0 0 31 4,6,9,11 *'), 'expression: names a date that never comes'],
  [cron('0 0 2 * * *'), 'expression: has more than five fields; seconds and years are not supported'],
  [cron('@daily'), 'expression: must have five fields: minute, hour, day of month, month, weekday'],
  [cron('0 2 ? * *'), 'expression: must have five fields: minute, hour, day of month, month, weekday'],
  [cron('0 25 * * *'), 'expression: is not valid: Invalid value for hour: 25'],
  [{ ...daily, blackout: [{ from: '02:00', to: '02:00' }] }, 'blackout.0.to: must differ from "from"'],
  [
    {
      ...daily,
      blackout: [
        { from: '00:00', to: '13:00' },
        { from: '13:00', to: '00:00' },
      ],
    },
    'blackout: leaves no time at which a run could start',
  ],
])('%j is refused', (input, problem) => {
  expect(problems(input)).toEqual([problem]);
});

test.each([
  { type: 'hourly' },
  { type: 'weekly', time: '02:30', weekdays: [] },
  { type: 'weekly', time: '02:30', weekdays: [0] },
  { type: 'weekly', time: '02:30', weekdays: [8] },
  { ...daily, jitter_seconds: 3601 },
  { ...daily, start_deadline_minutes: 0 },
  { ...daily, catch_up: 'all' },
  { ...daily, overlap: 'allow' },
  { type: 'manual', time: '02:30' },
  cron('61 * * * *'),
  cron('*/0 * * * *'),
  cron('50-10 * * * *'),
  cron(''),
])('%j is refused too', (input) => {
  expect(problems(input)).toHaveLength(1);
});

test('29 February is a date that comes', () => {
  expect(problems(cron('0 0 29 2 *'))).toEqual([]);
});

test('both forms can be described in OpenAPI', () => {
  for (const form of [scheduleInput, schedule]) expect(z.toJSONSchema(form, { io: 'input' })).toHaveProperty('oneOf');
});
