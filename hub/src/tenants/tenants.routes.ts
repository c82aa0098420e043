import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { actorOf } from '../audit/audit.ts';
import type { TenantRow } from '../db/schema.ts';
import { idParams } from '../http/id-params.ts';
import { pageQuery, toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requireOperator } from '../http/request-context.ts';
import { listTenants } from './tenants.repository.ts';
import { createTenantBody, patchTenantBody, tenantPage, tenantView } from './tenants.schema.ts';
import { createTenant, getTenant, patchTenant } from './tenants.service.ts';

const tags = ['tenants'];

/** For operators of the platform only. */
export const tenantsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;

  app.post(
    '/tenants',
    {
      schema: {
        summary: 'Make a tenant, its key pair and its owner',
        tags,
        body: createTenantBody,
        response: responses({ 201: tenantView }, 'CONFLICT'),
      },
      onRequest: async (request) => void requireOperator(request),
    },
    async (request, reply) => {
      const { vaultRecipient } = app.deps.config;
      const { tenant, ownerId } = await createTenant(db, actorOf(request), vaultRecipient, request.body);
      reply.header('location', `/api/v1/tenants/${tenant.id}`);
      return reply.code(201).send({ ...toView(tenant), owner_user_id: ownerId });
    },
  );

  app.get(
    '/tenants',
    {
      schema: { summary: 'List tenants', tags, querystring: pageQuery, response: responses({ 200: tenantPage }) },
      onRequest: async (request) => void requireOperator(request),
    },
    async ({ query }) => toPage(await listTenants(db, toPageRequest(query)), query.limit, toView),
  );

  app.get(
    '/tenants/:id',
    {
      schema: { summary: 'A tenant', tags, params: idParams, response: responses({ 200: tenantView }, 'NOT_FOUND') },
      onRequest: async (request) => void requireOperator(request),
    },
    async ({ params }) => toView(await getTenant(db, params.id)),
  );

  app.patch(
    '/tenants/:id',
    {
      schema: {
        summary: 'Change a tenant’s name, status, limits or allowed local paths',
        tags,
        params: idParams,
        body: patchTenantBody,
        response: responses({ 200: tenantView }, 'NOT_FOUND'),
      },
      onRequest: async (request) => void requireOperator(request),
    },
    async (request) => toView(await patchTenant(db, actorOf(request), request.params.id, request.body)),
  );
};

function toView(row: TenantRow) {
  return {
    id: row.id,
    name: row.name,
    status: row.status,
    recipient: row.recipient,
    key_held_by: row.identity_sealed === null ? ('customer' as const) : ('platform' as const),
    local_paths: row.local_paths,
    max_concurrent_runs: row.max_concurrent_runs,
    bandwidth_limit_bps: row.bandwidth_limit_bps,
    weight: row.weight,
    timezone: row.timezone,
    created_at: row.created_at.toISOString(),
  };
}
