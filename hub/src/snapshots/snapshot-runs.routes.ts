import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import { idParams } from '../http/id-params.ts';
import { responses } from '../http/problem.ts';
import { requireOperator, requireTenant, requireTenantRole } from '../http/request-context.ts';
import { acceptRun } from '../http/run-accepted.ts';
import { idempotencyHeaders } from '../idempotency/idempotency.ts';
import { runView, toRunView } from '../runs/run-view.ts';
import { deleteSnapshot } from './delete-snapshot.ts';
import { restoreSnapshot } from './restore-snapshot.ts';
import { deleteQuery, restoreAccepted, restoreBody, validateBody } from './snapshots.schema.ts';
import { validateSnapshot } from './snapshots.service.ts';

const tags = ['snapshots'];
const unreadable = ['NOT_FOUND', 'SNAPSHOT_UNAVAILABLE', 'TENANT_KEY_UNAVAILABLE'] as const;

/** What makes runs that read a snapshot or remove it. */
export const snapshotRunsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;
  const { config } = app.deps;

  app.post(
    '/snapshots/:id/restore',
    {
      schema: {
        summary: 'Restore a snapshot, or some of its paths: to an export, a directory, a source or a database',
        tags,
        params: idParams,
        headers: idempotencyHeaders,
        body: restoreBody,
        response: responses({ 202: restoreAccepted }, ...unreadable, 'PATH_NOT_ALLOWED', 'RESTORE_TARGET_UNSUPPORTED'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const asked = { tenantId, snapshotId: request.params.id, idempotencyKey: request.headers['idempotency-key'] };
      const run = await restoreSnapshot(db, actorOf(request), asked, request.body, config);
      return acceptRun(reply, run).send({ run: toRunView(run), export_id: run.export_id });
    },
  );

  app.post(
    '/snapshots/:id/validate',
    {
      schema: {
        summary: 'Verify a snapshot',
        description:
          'By default every byte of it. Where the platform has no key, what is stored is compared but not opened.',
        tags,
        params: idParams,
        headers: idempotencyHeaders,
        body: validateBody,
        response: responses({ 202: runView }, ...unreadable),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const asked = { tenantId, snapshotId: request.params.id, idempotencyKey: request.headers['idempotency-key'] };
      const run = await validateSnapshot(db, actorOf(request), asked, request.body?.level ?? 'full');
      return acceptRun(reply, run).send(toRunView(run));
    },
  );

  app.delete(
    '/snapshots/:id',
    {
      schema: {
        summary: 'Delete a snapshot',
        description: 'For owners and admins. 202 with the run that removes its bytes; 204 when it is deleted already.',
        tags,
        params: idParams,
        querystring: deleteQuery,
        response: responses(
          { 202: runView, 204: z.undefined() },
          'NOT_FOUND',
          'CONFLICT',
          'SNAPSHOT_LOCKED',
          'SNAPSHOT_LAST',
        ),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenantRole(request, ['owner', 'admin']);
      const force = request.query.force === 'true';
      if (force) requireOperator(request);
      const run = await deleteSnapshot(db, actorOf(request), { tenantId, snapshotId: request.params.id, force });
      return run === null ? reply.code(204).send() : acceptRun(reply, run).send(toRunView(run));
    },
  );
};
