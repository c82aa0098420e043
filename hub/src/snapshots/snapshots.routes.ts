import { fileSearch } from '@xvault/shared/browse.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { clientGone } from '../http/client-gone.ts';
import { idParams } from '../http/id-params.ts';
import { toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { listFiles } from './list-files.ts';
import { toSnapshotView } from './snapshot-view.ts';
import { listSnapshots } from './snapshots.repository.ts';
import { filesPage, filesQuery, snapshotPage, snapshotQuery, snapshotView } from './snapshots.schema.ts';
import { getSnapshot } from './snapshots.service.ts';

const tags = ['snapshots'];

export const snapshotsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;

  app.get(
    '/snapshots',
    {
      schema: {
        summary: 'List snapshots',
        tags,
        querystring: snapshotQuery,
        response: responses({ 200: snapshotPage }),
      },
    },
    async (request) => {
      const { job_id: jobId, source_id: sourceId, status, ...page } = request.query;
      const { tenantId } = requireTenant(request);
      const rows = await listSnapshots(db, tenantId, { jobId, sourceId, status }, toPageRequest(page));
      return toPage(rows, page.limit, toSnapshotView);
    },
  );

  app.get(
    '/snapshots/:id',
    {
      schema: {
        summary: 'A snapshot',
        tags,
        params: idParams,
        response: responses({ 200: snapshotView }, 'NOT_FOUND'),
      },
    },
    async (request) => toSnapshotView(await getSnapshot(db, requireTenant(request).tenantId, request.params.id)),
  );

  app.get(
    '/snapshots/:id/files',
    {
      schema: {
        summary: 'List or search files of a snapshot',
        description:
          'A worker reads them from the encrypted index. Bytes that are not UTF-8 are written `\\xHH`, a backslash `\\\\`.',
        tags,
        params: idParams,
        querystring: filesQuery,
        response: responses(
          { 200: filesPage },
          'NOT_FOUND',
          'SNAPSHOT_UNAVAILABLE',
          'TENANT_KEY_UNAVAILABLE',
          'WORKER_OFFLINE',
          'SERVICE_UNAVAILABLE',
        ),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const { recursive, path, offset, limit, ...search } = request.query;
      return listFiles(app.deps, {
        tenantId,
        snapshotId: request.params.id,
        path,
        recursive: recursive === 'true',
        search: Object.values(search).some((value) => value !== undefined) ? fileSearch.parse(search) : null,
        offset,
        limit,
        signal: clientGone(reply),
      });
    },
  );
};
