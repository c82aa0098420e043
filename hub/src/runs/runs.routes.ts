import { Readable } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FastifyRequest } from 'fastify';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import type { RunRow, RunStatus } from '../db/schema.ts';
import { idParams } from '../http/id-params.ts';
import { toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requireOperator, requirePrincipal, requireTenant } from '../http/request-context.ts';
import { cancelRun, forceCancelRun } from '../lifecycle/cancel.ts';
import { waitReasons } from '../lifecycle/wait-reasons.ts';
import { streamRun } from './run-stream.ts';
import { runView, toRunView } from './run-view.ts';
import { getRun, listAttempts, listEvents, listRuns } from './runs.repository.ts';
import {
  cancelBody,
  eventList,
  eventsQuery,
  runPage,
  runQuery,
  runWithAttempts,
  toAttemptView,
  toEventView,
} from './runs.schema.ts';

const tags = ['runs'];

/** Kept out of the types, since what is sent is a stream and not this text. */
const eventStream: Record<never, never> = {
  200: {
    description: 'Server-sent events',
    content: { 'text/event-stream': { schema: z.string() } },
  },
};

export const runsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { hubEvents, config } = app.deps;
  const { db } = app.deps.open;
  const closing = new AbortController();
  // An open stream would hold up the close of the server.
  app.addHook('preClose', async () => closing.abort());

  const find = async (tenantId: string, id: string): Promise<RunRow> => {
    const run = await getRun(db, tenantId, id);
    if (run === undefined) throw new XVaultError('NOT_FOUND');
    return run;
  };

  app.get(
    '/runs',
    { schema: { summary: 'List runs', tags, querystring: runQuery, response: responses({ 200: runPage }) } },
    async (request) => {
      const { query } = request;
      const status: RunStatus | undefined = query.status === 'starting' ? 'dispatched' : query.status;
      const filter = { jobId: query.job_id, sourceId: query.source_id, kind: query.kind, status };
      const rows = await listRuns(db, requireTenant(request).tenantId, filter, toPageRequest(query));
      const reasons = await waitReasons(db, rows, config);
      const forOperator = isOperator(request);
      return toPage(rows, query.limit, (row) => toRunView(row, { forOperator, waitReason: reasons.get(row.id) }));
    },
  );

  app.get(
    '/runs/:id',
    {
      schema: {
        summary: 'A run with its attempts',
        tags,
        params: idParams,
        response: responses({ 200: runWithAttempts }, 'NOT_FOUND'),
      },
    },
    async (request) => {
      const { tenantId } = requireTenant(request);
      const run = await find(tenantId, request.params.id);
      const attempts = await listAttempts(db, tenantId, run.id);
      const waitReason = (await waitReasons(db, [run], config)).get(run.id);
      const view = toRunView(run, { forOperator: isOperator(request), waitReason });
      return { ...view, attempts: attempts.map(toAttemptView) };
    },
  );

  app.post(
    '/runs/:id/cancel',
    {
      schema: {
        summary: 'Ask a run to stop',
        description: 'With `force`, for operators of the platform only, it has ended when the answer comes.',
        tags,
        params: idParams,
        body: cancelBody,
        response: responses({ 202: runView }, 'NOT_FOUND', 'RUN_NOT_CANCELLABLE'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const isForced = request.body?.force === true;
      if (isForced) requireOperator(request);
      const run = isForced
        ? await forceCancelRun(db, actorOf(request), tenantId, request.params.id)
        : await cancelRun(db, actorOf(request), tenantId, request.params.id);
      return reply.code(202).send(toRunView(run, { forOperator: isOperator(request) }));
    },
  );

  app.get(
    '/runs/:id/events',
    {
      schema: {
        summary: 'What happened in a run, oldest first',
        tags,
        params: idParams,
        querystring: eventsQuery,
        response: responses({ 200: eventList }, 'NOT_FOUND'),
      },
    },
    async (request) => {
      const { tenantId } = requireTenant(request);
      const { since_id: sinceId, limit } = request.query;
      const run = await find(tenantId, request.params.id);
      const rows = await listEvents(db, tenantId, run.id, { sinceId, limit });
      return { items: rows.map(toEventView), last_id: rows.at(-1)?.id ?? sinceId };
    },
  );

  app.get(
    '/runs/:id/stream',
    {
      schema: {
        summary: 'Follow a run: server-sent events `progress`, `event` and, at its end, `end` with the run',
        description: 'Reconnect with the header Last-Event-ID to go on after the last `event`.',
        tags,
        params: idParams,
        headers: z.looseObject({ 'last-event-id': z.coerce.number().int().min(0).max(2_147_483_647).optional() }),
        response: responses(eventStream, 'NOT_FOUND'),
      },
    },
    async (request, reply) => {
      const { tenantId } = requireTenant(request);
      const run = await find(tenantId, request.params.id);
      const gone = new AbortController();
      reply.raw.once('close', () => gone.abort());
      const stream = streamRun(
        { db, hubEvents, settings: config },
        {
          tenantId,
          runId: run.id,
          sinceId: request.headers['last-event-id'] ?? 0,
          forOperator: isOperator(request),
          signal: AbortSignal.any([gone.signal, closing.signal]),
        },
      );
      return (
        reply
          .header('content-type', 'text/event-stream; charset=utf-8')
          .header('cache-control', 'no-store')
          .header('x-accel-buffering', 'no')
          // Kept alive after the stream, the connection would hold up the close of the server.
          .header('connection', 'close')
          .send(Readable.from(stream))
      );
    },
  );
};

function isOperator(request: FastifyRequest): boolean {
  return requirePrincipal(request).platformRole === 'operator';
}
