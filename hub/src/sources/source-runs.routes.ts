import { browseItem, browseRequest } from '@xvault/shared/browse.ts';
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
import { browseUnsavedBody, unsavedSource } from './sources.schema.ts';
import { createProber } from './sources.service.ts';
import { browseUnsaved, probeUnsaved } from './unsaved-source.ts';

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
    '/sources/probe',
    {
      schema: {
        summary: 'Test the connection of a source before it is saved',
        description:
          'Takes what saving it takes, without the name. The secret is sealed on arrival and forgotten when the run has ended. ' +
          'The result of the run holds the host key, for saving the source with it.',
        tags: ['sources'],
        body: unsavedSource,
        response: responses({ 202: runView }, 'PATH_NOT_ALLOWED'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const run = await probeUnsaved(app.deps, actorOf(request), tenantId, request.body);
      return acceptRun(reply, run).send(toRunView(run));
    },
  );

  app.post(
    '/sources/browse',
    {
      schema: {
        summary: 'List what a source could be pointed at before it is saved',
        description: 'Takes what saving it takes, without the name, and what is wanted, as for a saved one.',
        tags: ['sources'],
        body: browseUnsavedBody,
        response: responses({ 200: browsePage }, 'PATH_NOT_ALLOWED', 'SERVICE_UNAVAILABLE'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      return browseUnsaved(app.deps, actorOf(request), tenantId, request.body, clientGone(reply));
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
