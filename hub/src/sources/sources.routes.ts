import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import { idParams } from '../http/id-params.ts';
import { pageQuery, toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { toSourceView } from './source-view.ts';
import { listSources } from './sources.repository.ts';
import { createSourceBody, hostKeyBody, patchSourceBody, sourcePage, sourceView } from './sources.schema.ts';
import { acceptHostKey, createSource, deleteSource, getSource, patchSource } from './sources.service.ts';

const tags = ['sources'];

export const sourcesRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;
  const { credentialsRecipient } = app.deps.config;

  app.post(
    '/sources',
    {
      schema: {
        summary: 'Add a source; its secret is sealed on arrival',
        tags,
        body: createSourceBody,
        response: responses({ 201: sourceView }, 'PATH_NOT_ALLOWED'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const source = await createSource(db, actorOf(request), tenantId, credentialsRecipient, request.body);
      return reply.code(201).header('location', `/api/v1/sources/${source.id}`).send(toSourceView(source));
    },
  );

  app.get(
    '/sources',
    { schema: { summary: 'List sources', tags, querystring: pageQuery, response: responses({ 200: sourcePage }) } },
    async (request) => {
      const { tenantId } = requireTenant(request);
      const rows = await listSources(db, tenantId, toPageRequest(request.query));
      return toPage(rows, request.query.limit, toSourceView);
    },
  );

  app.get(
    '/sources/:id',
    { schema: { summary: 'A source', tags, params: idParams, response: responses({ 200: sourceView }, 'NOT_FOUND') } },
    async (request) => toSourceView(await getSource(db, requireTenant(request).tenantId, request.params.id)),
  );

  app.patch(
    '/sources/:id',
    {
      schema: {
        summary: 'Change name, config or secret; another host or port drops the pinned host key',
        tags,
        params: idParams,
        body: patchSourceBody,
        response: responses({ 200: sourceView }, 'NOT_FOUND', 'PATH_NOT_ALLOWED'),
      },
    },
    async (request) => {
      const { tenantId } = requireTenant(request);
      const { params, body } = request;
      return toSourceView(await patchSource(db, actorOf(request), tenantId, params.id, credentialsRecipient, body));
    },
  );

  app.delete(
    '/sources/:id',
    {
      schema: {
        summary: 'Delete a source that no job uses; its snapshots stay',
        tags,
        params: idParams,
        response: responses({ 204: z.undefined() }, 'NOT_FOUND', 'CONFLICT'),
      },
    },
    async (request, reply) => {
      await deleteSource(db, actorOf(request), requireTenant(request).tenantId, request.params.id);
      return reply.code(204).send();
    },
  );

  app.post(
    '/sources/:id/host-key',
    {
      schema: {
        summary: 'Accept a changed host key',
        tags,
        params: idParams,
        body: hostKeyBody,
        response: responses({ 200: sourceView }, 'NOT_FOUND'),
      },
    },
    async (request) => {
      const { tenantId } = requireTenant(request);
      const { params, body } = request;
      return toSourceView(await acceptHostKey(db, actorOf(request), tenantId, params.id, body.fingerprint));
    },
  );
};
