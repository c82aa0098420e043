import { z } from 'zod';
import { nextFires } from './next-fires.ts';
import { type Schedule, schedule as scheduleSchema } from './schedule.schema.ts';
import { offsetAt } from './time-zone.ts';

export const previewCount = z.coerce.number().int().min(1).max(50).default(10);

export const schedulePreview = z.strictObject({
  schedule: scheduleSchema,
  fires: z.array(
    z.strictObject({
      scheduled_for: z.iso.datetime().describe('UTC, without jitter'),
      local: z.iso.datetime({ offset: true }).describe('The same in the time zone of the schedule'),
      fires_at: z.iso.datetime().nullable().describe('UTC, with jitter; null for a schedule of no job yet'),
    }),
  ),
});
export type SchedulePreview = z.infer<typeof schedulePreview>;

/** The next fires; `jobId` decides the jitter and is null for a schedule of no job yet. */
export function previewSchedule(schedule: Schedule, after: Date, count: number, jobId: string | null): SchedulePreview {
  const zone = schedule.type === 'manual' ? 'UTC' : schedule.timezone;
  const fires = nextFires(schedule, after, count, jobId ?? '').map(({ scheduledFor, fireAt }) => ({
    scheduled_for: scheduledFor.toISOString(),
    local: localTime(zone, scheduledFor),
    fires_at: jobId === null ? null : fireAt.toISOString(),
  }));
  return { schedule, fires };
}

/** RFC 3339 with the offset of the zone. */
function localTime(zone: string, at: Date): string {
  const offset = offsetAt(zone, at.getTime());
  const size = Math.abs(offset) / 60_000;
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const wall = new Date(at.getTime() + offset).toISOString().slice(0, 19);
  return `${wall}${offset < 0 ? '-' : '+'}${two(size / 60)}:${two(size % 60)}`;
}
