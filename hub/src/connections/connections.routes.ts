import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import { idParams } from '../http/id-params.ts';
import { pageQuery, toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requirePrincipal, requireTenant, requireTenantRole } from '../http/request-context.ts';
import { type ConnectionRow, listConnections } from './connections.repository.ts';
import { authorizeBody, authorizeView, completeBody, connectionPage, connectionView } from './connections.schema.ts';
import { beginAuthorization, completeAuthorization, deleteConnection, getConnection } from './connections.service.ts';

const tags = ['connections'];
const managers = ['owner', 'admin'] as const;

export const connectionsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { config } = app.deps;
  const { db } = app.deps.open;

  app.post(
    '/connections/authorize',
    {
      schema: {
        summary: 'Begin to connect an account of a provider: where its owner signs in',
        tags,
        body: authorizeBody,
        response: responses({ 200: authorizeView }, 'OAUTH_NOT_CONFIGURED', 'NOT_FOUND'),
      },
    },
    async (request) => {
      const { tenantId } = requireTenantRole(request, managers);
      const asking = { tenantId, userId: requirePrincipal(request).userId };
      return beginAuthorization(db, app.jwt, config, asking, request.body);
    },
  );

  app.post(
    '/connections/complete',
    {
      schema: {
        summary: 'Finish connecting, with the state and code that the provider sent back',
        tags,
        body: completeBody,
        response: responses(
          { 201: connectionView },
          'OAUTH_STATE_INVALID',
          'OAUTH_DENIED',
          'OAUTH_NOT_CONFIGURED',
          'SERVICE_UNAVAILABLE',
        ),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenantRole(request, managers);
      const asking = { tenantId, userId: requirePrincipal(request).userId };
      const row = await completeAuthorization(db, app.jwt, config, actorOf(request), asking, request.body);
      return reply.code(201).header('location', `/api/v1/connections/${row.id}`).send(toView(row));
    },
  );

  app.get(
    '/connections',
    {
      schema: {
        summary: 'List connections',
        tags,
        querystring: pageQuery,
        response: responses({ 200: connectionPage }),
      },
    },
    async (request) => {
      const { tenantId } = requireTenant(request);
      const rows = await listConnections(db, tenantId, toPageRequest(request.query));
      return toPage(rows, request.query.limit, toView);
    },
  );

  app.get(
    '/connections/:id',
    {
      schema: {
        summary: 'A connection',
        tags,
        params: idParams,
        response: responses({ 200: connectionView }, 'NOT_FOUND'),
      },
    },
    async (request) => toView(await getConnection(db, requireTenant(request).tenantId, request.params.id)),
  );

  app.delete(
    '/connections/:id',
    {
      schema: {
        summary: 'Forget a connection that no source uses',
        tags,
        params: idParams,
        response: responses({ 204: z.undefined() }, 'NOT_FOUND', 'CONFLICT'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenantRole(request, managers);
      await deleteConnection(db, actorOf(request), tenantId, request.params.id);
      return reply.code(204).send();
    },
  );
};

function toView(row: ConnectionRow): z.infer<typeof connectionView> {
  return {
    id: row.id,
    name: row.name,
    provider: row.provider,
    status: row.status === 'reauthorize' ? 'reauthorize' : 'active',
    access_expires_at: row.access_expires_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
