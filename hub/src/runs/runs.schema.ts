import { eventParams, formatEvent, type MessageId } from '@xvault/shared/events.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import { runKindNames } from '@xvault/shared/run-kinds.ts';
import { z } from 'zod';
import { pageOf, pageQuery } from '../http/pagination.ts';
import { runView } from './run-view.ts';
import type { listAttempts, listEvents } from './runs.repository.ts';

export const runQuery = pageQuery.extend({
  job_id: idSchema.optional(),
  source_id: idSchema.optional(),
  status: runView.shape.status.optional(),
  kind: z.enum(runKindNames).optional(),
});
export const runPage = pageOf(runView);

const time = z.iso.datetime().nullable();
const attemptView = z.strictObject({
  attempt: z.int(),
  worker_id: z.string().nullable(),
  admitted_at: z.iso.datetime(),
  started_at: time,
  ended_at: time,
  outcome: z.string().nullable(),
  error_code: z.string().nullable(),
});
export const runWithAttempts = runView.extend({ attempts: z.array(attemptView) }).meta({ id: 'RunWithAttempts' });

/** Nothing, or a choice. */
export const cancelBody = z.strictObject({ force: z.boolean().default(false) }).nullish();

export const eventsQuery = z.strictObject({
  since_id: z.coerce.number().int().min(0).max(2_147_483_647).default(0),
  limit: z.coerce.number().int().min(1).max(1000).default(250),
});
export const eventView = z
  .strictObject({
    /** 1, 2, 3 … within the run. */
    id: z.int(),
    /** RFC 3339 in UTC with microseconds. */
    ts: z.string(),
    type: z.string(),
    level: z.string(),
    code: z.string(),
    message_id: z.string(),
    params: eventParams,
    message: z.string(),
  })
  .meta({ id: 'RunEvent' });
export const eventList = z.strictObject({
  items: z.array(eventView),
  /** `since_id` of the next request. */
  last_id: z.int(),
});

type Attempt = Awaited<ReturnType<typeof listAttempts>>[number];
type Event = Awaited<ReturnType<typeof listEvents>>[number];

export function toAttemptView(row: Attempt): z.infer<typeof attemptView> {
  return {
    ...row,
    admitted_at: row.admitted_at.toISOString(),
    started_at: row.started_at?.toISOString() ?? null,
    ended_at: row.ended_at?.toISOString() ?? null,
  };
}

export function toEventView(row: Event): z.infer<typeof eventView> {
  return { ...row, message: formatEvent(row.message_id as MessageId, row.params) };
}
