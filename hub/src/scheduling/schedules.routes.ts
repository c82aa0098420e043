import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { idParams } from '../http/id-params.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { getJob } from '../jobs/jobs.service.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import { completeSchedule, scheduleInput } from './schedule.schema.ts';
import { scheduleOf } from './schedule-of.ts';
import { previewCount, previewSchedule, schedulePreview } from './schedule-preview.ts';

const tags = ['schedules'];

export const schedulesRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;

  app.get(
    '/jobs/:id/schedule/preview',
    {
      schema: {
        summary: 'When a job would fire next, if nothing changes',
        tags,
        params: idParams,
        querystring: z.strictObject({ count: previewCount }),
        response: responses({ 200: schedulePreview }, 'NOT_FOUND'),
      },
    },
    async (request) => {
      const { params, query } = request;
      const job = await getJob(db, requireTenant(request).tenantId, params.id);
      return previewSchedule(scheduleOf(job), new Date(), query.count, job.id);
    },
  );

  app.post(
    '/schedules/preview',
    {
      schema: {
        summary: 'When a schedule that is not saved yet would fire',
        tags,
        body: z.strictObject({ schedule: scheduleInput, count: z.int().min(1).max(50).default(10) }),
        response: responses({ 200: schedulePreview }),
      },
    },
    async (request) => {
      const { timezone } = await getTenant(db, requireTenant(request).tenantId);
      const { schedule, count } = request.body;
      return previewSchedule(completeSchedule(schedule, timezone), new Date(), count, null);
    },
  );
};
