import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { actorOf } from '../audit/audit.ts';
import { idParams } from '../http/id-params.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { acceptRun } from '../http/run-accepted.ts';
import { runView, toRunView } from '../runs/run-view.ts';
import { createProber } from './sources.service.ts';

export const sourceRunsRoutes: FastifyPluginAsyncZod = async (app) => {
  const probe = createProber(app.deps.open.db);
  app.post(
    '/sources/:id/probe',
    {
      schema: {
        summary: 'Test the connection on a worker; the first success pins the host key',
        tags: ['sources'],
        params: idParams,
        response: responses({ 202: runView }, 'NOT_FOUND'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const run = await probe(actorOf(request), tenantId, request.params.id);
      return acceptRun(reply, run).send(toRunView(run));
    },
  );
};
