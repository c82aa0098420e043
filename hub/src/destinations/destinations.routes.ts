import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import { idParams } from '../http/id-params.ts';
import { pageQuery, toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { acceptRun } from '../http/run-accepted.ts';
import { runView, toRunView } from '../runs/run-view.ts';
import { type DestinationRow, listDestinations } from './destinations.repository.ts';
import {
  createDestinationBody,
  destinationPage,
  destinationView,
  patchDestinationBody,
} from './destinations.schema.ts';
import {
  createDestination,
  deleteDestination,
  getDestination,
  patchDestination,
  probeDestination,
} from './destinations.service.ts';

const tags = ['destinations'];

export const destinationsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;

  app.post(
    '/destinations',
    {
      schema: {
        summary: 'Add a destination',
        tags,
        body: createDestinationBody,
        response: responses({ 201: destinationView }),
      },
    },
    async (request, reply) => {
      const row = await createDestination(
        db,
        actorOf(request),
        requireTenant(request).tenantId,
        app.deps.config.credentialsRecipient,
        request.body,
      );
      return reply.code(201).header('location', `/api/v1/destinations/${row.id}`).send(toView(row));
    },
  );

  app.get(
    '/destinations',
    {
      schema: {
        summary: 'List destinations',
        tags,
        querystring: pageQuery,
        response: responses({ 200: destinationPage }),
      },
    },
    async (request) => {
      const { tenantId } = requireTenant(request);
      const rows = await listDestinations(db, tenantId, toPageRequest(request.query));
      return toPage(rows, request.query.limit, toView);
    },
  );

  app.get(
    '/destinations/:id',
    {
      schema: {
        summary: 'A destination',
        tags,
        params: idParams,
        response: responses({ 200: destinationView }, 'NOT_FOUND'),
      },
    },
    async (request) => toView(await getDestination(db, requireTenant(request).tenantId, request.params.id)),
  );

  app.patch(
    '/destinations/:id',
    {
      schema: {
        summary: 'Change name, config or secret; the bucket stays once there are snapshots in it',
        tags,
        params: idParams,
        body: patchDestinationBody,
        response: responses({ 200: destinationView }, 'NOT_FOUND', 'CONFLICT'),
      },
    },
    async (request) => {
      const { tenantId } = requireTenant(request);
      const recipient = app.deps.config.credentialsRecipient;
      const { params, body } = request;
      return toView(await patchDestination(db, actorOf(request), tenantId, params.id, recipient, body));
    },
  );

  app.post(
    '/destinations/:id/probe',
    {
      schema: {
        summary: 'Test a destination on a worker: a small object is written, read and removed',
        tags,
        params: idParams,
        response: responses({ 202: runView }, 'NOT_FOUND'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const run = await probeDestination(db, actorOf(request), tenantId, request.params.id);
      return acceptRun(reply, run).send(toRunView(run));
    },
  );

  app.delete(
    '/destinations/:id',
    {
      schema: {
        summary: 'Delete a destination that no job uses and that holds no snapshot',
        tags,
        params: idParams,
        response: responses({ 204: z.undefined() }, 'NOT_FOUND', 'CONFLICT'),
      },
    },
    async (request, reply) => {
      await deleteDestination(db, actorOf(request), requireTenant(request).tenantId, request.params.id);
      return reply.code(204).send();
    },
  );
};

function toView(row: DestinationRow): z.infer<typeof destinationView> {
  return {
    id: row.id,
    name: row.name,
    type: row.type,
    config: row.config,
    has_secret: row.secret_sealed !== null,
    created_at: row.created_at.toISOString(),
    updated_at: row.updated_at.toISOString(),
  };
}
