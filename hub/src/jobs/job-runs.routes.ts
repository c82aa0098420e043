import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { actorOf } from '../audit/audit.ts';
import { idParams } from '../http/id-params.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { acceptRun } from '../http/run-accepted.ts';
import { idempotencyHeaders } from '../idempotency/idempotency.ts';
import { runView, toRunView } from '../runs/run-view.ts';
import { runJob } from './run-job.ts';

export const jobRunsRoutes: FastifyPluginAsyncZod = async (app) => {
  app.post(
    '/jobs/:id/runs',
    {
      schema: {
        summary: 'Back up now',
        description: 'Send an Idempotency-Key to be able to repeat the request without a second run.',
        tags: ['jobs'],
        params: idParams,
        headers: idempotencyHeaders,
        response: responses({ 202: runView }, 'NOT_FOUND', 'JOB_NOT_ACTIVE', 'RUN_OVERLAP', 'PATH_NOT_ALLOWED'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const asked = { tenantId, jobId: request.params.id, idempotencyKey: request.headers['idempotency-key'] };
      const run = await runJob(app.deps.open.db, actorOf(request), asked);
      return acceptRun(reply, run).send(toRunView(run));
    },
  );
};
