import { z } from 'zod';
import { coversWeek } from './blackout.ts';
import { parseCron } from './cron-expression.ts';
import { isTimeZone } from './time-zone.ts';

const timeOfDay = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'must be a time from "00:00" to "23:59"');
const endOfDay = z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, 'must be a time from "00:00" to "24:00"');
const weekdays = z
  .array(z.int().min(1).max(7))
  .min(1)
  .max(7)
  .refine((days) => new Set(days).size === days.length, 'must not name a day twice')
  .describe('1 is Monday, 7 is Sunday');

export const timeZoneName = z
  .string()
  .max(64)
  .refine(isTimeZone, 'is not a time zone of the IANA database, such as "Europe/Berlin"');

const blackoutWindow = z
  .strictObject({
    weekdays: weekdays.optional().describe('Days on which the window begins; every day when left out'),
    from: timeOfDay,
    to: endOfDay.describe('Not part of the window; earlier than "from" when it ends on the next day'),
  })
  .refine((window) => window.from !== window.to, { path: ['to'], message: 'must differ from "from"', abort: true });

/** Whether the expression ever names a date; 29 February comes at least every eight years, so a year's search is not enough. */
const cronExpression = z
  .string()
  .max(256)
  .superRefine((expression, context) => {
    try {
      const first = parseCron(expression).next(Date.UTC(2024, 0, 1));
      if (first === null) context.addIssue({ code: 'custom', message: 'names a date that never comes' });
    } catch (error) {
      context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : 'is not valid' });
    }
  });

const common = {
  jitter_seconds: z.int().min(0).max(3600).default(0).describe('Each fire is late by up to so many seconds'),
  blackout: z
    .array(blackoutWindow)
    .max(20)
    .default([])
    .refine((windows) => !coversWeek(windows), 'leaves no time at which a run could start')
    .describe('Local times in which nothing starts: what falls in starts once, at the end'),
  catch_up: z
    .enum(['skip', 'once'])
    .default('skip')
    .describe('What becomes of fires missed while the platform was down'),
  start_deadline_minutes: z
    .int()
    .min(1)
    .max(10_080)
    .nullable()
    .default(null)
    .describe('A run that has not started so long after its time raises an alarm'),
  overlap: z.enum(['skip', 'queue']).default('skip').describe('What becomes of a fire while the run before it goes on'),
};

const manual = z.strictObject({ type: z.literal('manual') });
const daily = { type: z.literal('daily'), time: timeOfDay, ...common };
const weekly = { type: z.literal('weekly'), time: timeOfDay, weekdays, ...common };
const cron = {
  type: z.literal('cron'),
  expression: cronExpression.describe('Minute, hour, day of month, month, weekday'),
  ...common,
};

const ownZone = { timezone: timeZoneName };
const maybeZone = { timezone: timeZoneName.optional().describe("The tenant's when left out") };

/** A schedule as a customer writes it. */
export const scheduleInput = z.discriminatedUnion('type', [
  manual,
  z.strictObject({ ...daily, ...maybeZone }),
  z.strictObject({ ...weekly, ...maybeZone }),
  z.strictObject({ ...cron, ...maybeZone }),
]);
export type ScheduleInput = z.infer<typeof scheduleInput>;

/** A schedule as it is stored and shown: with all that was left out. */
export const schedule = z.discriminatedUnion('type', [
  manual,
  z.strictObject({ ...daily, ...ownZone }),
  z.strictObject({ ...weekly, ...ownZone }),
  z.strictObject({ ...cron, ...ownZone }),
]);
export type Schedule = z.infer<typeof schedule>;
/** A schedule that fires by itself. */
export type TimedSchedule = Exclude<Schedule, { type: 'manual' }>;

/** The tenant's time zone is taken as it is now: a later change of it moves no schedule. */
export function completeSchedule(input: ScheduleInput, tenantTimezone: string): Schedule {
  if (input.type === 'manual') return input;
  return { ...input, timezone: input.timezone ?? tenantTimezone };
}
