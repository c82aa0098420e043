import { browseItem, browseRequest } from '@xvault/shared/run-kinds.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import { clientGone } from '../http/client-gone.ts';
import { idParams } from '../http/id-params.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { acceptRun } from '../http/run-accepted.ts';
import { runView, toRunView } from '../runs/run-view.ts';
import { browseSource } from './browse-source.ts';
import { createProber } from './sources.service.ts';

const browsePage = z.strictObject({ items: z.array(browseItem), next_cursor: z.string().nullable() });

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

  app.post(
    '/sources/:id/browse',
    {
      schema: {
        summary: 'List what a source could be pointed at: buckets or shares, folders, shared drives',
        description: 'A worker asks the server. Ids are what the config of a source takes.',
        tags: ['sources'],
        params: idParams,
        body: browseRequest,
        response: responses({ 200: browsePage }, 'NOT_FOUND', 'SERVICE_UNAVAILABLE'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const asked = { tenantId, sourceId: request.params.id, request: request.body };
      return browseSource(app.deps, { ...asked, signal: clientGone(reply) });
    },
  );
};
