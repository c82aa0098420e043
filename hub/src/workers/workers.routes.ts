import { XVaultError } from '@xvault/shared/errors.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import type { WorkerRow } from '../db/schema.ts';
import { idParams } from '../http/id-params.ts';
import { pageQuery, toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requireOperator } from '../http/request-context.ts';
import { findWorker, listWorkers } from './workers.repository.ts';
import { workerPage, workerView } from './workers.schema.ts';
import { drainWorker, resumeWorker } from './workers.service.ts';

const tags = ['workers'];

/** For operators of the platform only. */
export const workersRoutes: FastifyPluginAsyncZod = async (app) => {
  const { config } = app.deps;
  const { db } = app.deps.open;

  app.get(
    '/workers',
    {
      schema: { summary: 'List workers', tags, querystring: pageQuery, response: responses({ 200: workerPage }) },
      onRequest: async (request) => void requireOperator(request),
    },
    async ({ query }) => toPage(await listWorkers(db, toPageRequest(query)), query.limit, toView),
  );

  app.get(
    '/workers/:id',
    {
      schema: { summary: 'A worker', tags, params: idParams, response: responses({ 200: workerView }, 'NOT_FOUND') },
      onRequest: async (request) => void requireOperator(request),
    },
    async ({ params }) => {
      const worker = await findWorker(db, params.id);
      if (worker === undefined) throw new XVaultError('NOT_FOUND');
      return toView(worker);
    },
  );

  app.post(
    '/workers/:id/drain',
    {
      schema: {
        summary: 'Give a worker no more runs; those it carries out go on',
        tags,
        params: idParams,
        response: responses({ 200: workerView }, 'NOT_FOUND'),
      },
      onRequest: async (request) => void requireOperator(request),
    },
    async (request) => toView(await drainWorker(db, actorOf(request), request.params.id)),
  );

  app.post(
    '/workers/:id/resume',
    {
      schema: {
        summary: 'End the drain of a worker',
        tags,
        params: idParams,
        response: responses({ 200: workerView }, 'NOT_FOUND'),
      },
      onRequest: async (request) => void requireOperator(request),
    },
    async (request) => toView(await resumeWorker(db, actorOf(request), request.params.id, config.workerSilentMs)),
  );
};

function toView({ token_hash, boot_id, tenant_id, ...row }: WorkerRow): z.infer<typeof workerView> {
  return {
    ...row,
    registered_at: row.registered_at?.toISOString() ?? null,
    last_seen_at: row.last_seen_at?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}
