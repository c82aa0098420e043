import { type Schedule, schedule } from './schedule.schema.ts';

/** The schedule of a job's row; `manual` when there is none. Throws ZodError when it is not valid. */
export function scheduleOf(job: { readonly schedule: unknown }): Schedule {
  return job.schedule === null ? { type: 'manual' } : schedule.parse(job.schedule);
}
