import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import type { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import { idParams } from '../http/id-params.ts';
import { pageQuery, toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { type ExportRow, listExports } from './exports.repository.ts';
import { exportPage, exportView, linkView } from './exports.schema.ts';
import { getExport, makeLink } from './exports.service.ts';

const tags = ['exports'];

export const exportsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;

  app.get(
    '/exports',
    { schema: { summary: 'List exports', tags, querystring: pageQuery, response: responses({ 200: exportPage }) } },
    async (request) => {
      const rows = await listExports(db, requireTenant(request).tenantId, toPageRequest(request.query));
      return toPage(rows, request.query.limit, toView);
    },
  );

  app.get(
    '/exports/:id',
    { schema: { summary: 'An export', tags, params: idParams, response: responses({ 200: exportView }, 'NOT_FOUND') } },
    async (request) => toView(await getExport(db, requireTenant(request).tenantId, request.params.id)),
  );

  app.post(
    '/exports/:id/link',
    {
      schema: {
        summary: 'A download link that works once; an earlier one stops working',
        tags,
        params: idParams,
        response: responses({ 201: linkView }, 'NOT_FOUND', 'EXPORT_NOT_READY', 'EXPORT_EXPIRED', 'WORKER_OFFLINE'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const link = await makeLink(db, app.jwt, actorOf(request), tenantId, request.params.id);
      return reply.code(201).header('cache-control', 'no-store').send(link);
    },
  );
};

function toView(row: ExportRow): z.infer<typeof exportView> {
  const isExpired = row.expires_at.getTime() <= Date.now();
  return {
    id: row.id,
    snapshot_id: row.snapshot_id,
    run_id: row.run_id,
    format: row.format,
    status: isExpired ? 'expired' : row.status,
    file_name: row.file_name,
    size_bytes: row.size_bytes,
    sha256: row.sha256,
    expires_at: row.expires_at.toISOString(),
    created_at: row.created_at.toISOString(),
  };
}
