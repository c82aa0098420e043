import {
  claimRequest,
  claimResponse,
  enrolRequest,
  enrolResponse,
  finishRequest,
  finishResponse,
  heartbeatRequest,
  heartbeatResponse,
  notesRequest,
  notesResponse,
  registerRequest,
  registerResponse,
  startRequest,
  startResponse,
  storageLiveRequest,
  storageLiveResponse,
} from '@xvault/shared/internal-api.ts';
import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { claimExport } from '../exports/exports.service.ts';
import { idParams } from '../http/id-params.ts';
import { responses } from '../http/problem.ts';
import { BandwidthShares } from '../lifecycle/bandwidth.ts';
import { createFinisher } from '../lifecycle/finish.ts';
import { heartbeat } from '../lifecycle/heartbeat.ts';
import { createStarter } from '../lifecycle/start.ts';
import { enrolWorker, registerWorker } from '../workers/workers.service.ts';
import { keepNotes } from './run-notes.ts';
import { findRemovable } from './storage-live.ts';
import { requireEnrolment, requireWorker, workerAuth } from './worker-auth.ts';

/** A report may hold 5,000 events, each naming an item of some KiB, or the runs of a worker with very many slots. */
const reportLimitBytes = 16 * 1024 * 1024;
const tags = ['workers: internal'];

/** What workers call, below /internal/v1. Only enrolling takes the enrolment token; all else takes the worker's own. */
export const internalRoutes: FastifyPluginAsyncZod = async (app) => {
  const { config } = app.deps;
  const { db } = app.deps.open;

  app.post(
    '/workers/enrol',
    {
      schema: {
        summary: 'A worker’s own token, for the enrolment token',
        tags,
        body: enrolRequest,
        response: responses({ 200: enrolResponse }),
      },
      onRequest: async (request) => requireEnrolment(request, config.enrolmentToken),
    },
    async ({ body, ip }) => ({
      worker_token: await enrolWorker(db, { workerId: body.worker_id, name: body.name, address: ip }),
    }),
  );

  await app.register(workerRoutes);
};

const workerRoutes: FastifyPluginAsyncZod = async (app) => {
  const { config } = app.deps;
  const { db } = app.deps.open;
  const bandwidth = new BandwidthShares(db, config);
  const [start, finish] = [createStarter(db, config), createFinisher(db, config)];
  await app.register(workerAuth);

  app.post(
    '/workers/register',
    {
      schema: {
        summary: 'A worker has started',
        tags,
        body: registerRequest,
        response: responses({ 200: registerResponse }),
      },
    },
    async (request) => {
      const worker = requireWorker(request, request.body.worker_id);
      await registerWorker(db, worker, request.body, config);
      return {
        worker_id: worker.id,
        heartbeat_active_ms: config.heartbeatActiveMs,
        heartbeat_idle_ms: config.heartbeatIdleMs,
        event_max_per_run: config.eventMaxPerRun,
        progress_interval_ms: config.progressIntervalMs,
      };
    },
  );

  app.post(
    '/runs/:id/start',
    {
      schema: {
        summary: 'Begin an attempt: what to do, and a lease',
        tags,
        params: idParams,
        body: startRequest,
        response: responses({ 200: startResponse }, 'ATTEMPT_SUPERSEDED', 'WORKER_UNSUITABLE'),
      },
    },
    async (request, reply) => {
      const worker = requireWorker(request, request.body.worker_id);
      reply.header('cache-control', 'no-store');
      const { attempt, nonce } = request.body;
      return bandwidth.started(await start({ worker, runId: request.params.id, attempt, nonce }));
    },
  );

  app.post(
    '/heartbeat',
    {
      bodyLimit: reportLimitBytes,
      schema: {
        summary: 'All the runs of a worker: leases, progress, events',
        tags,
        body: heartbeatRequest,
        response: responses({ 200: heartbeatResponse }),
      },
    },
    async (request) => {
      const { id } = requireWorker(request, request.body.worker_id);
      return bandwidth.beaten(await heartbeat(db, id, request.body, config, app.deps.logger));
    },
  );

  app.post(
    '/runs/:id/finish',
    {
      bodyLimit: reportLimitBytes,
      schema: {
        summary: 'How an attempt ended',
        tags,
        params: idParams,
        body: finishRequest,
        response: responses({ 200: finishResponse }, 'ATTEMPT_SUPERSEDED'),
      },
    },
    async (request) => finish({ workerId: requireWorker(request).id, runId: request.params.id, request: request.body }),
  );

  app.post(
    '/runs/:id/notes',
    {
      schema: {
        summary: 'What must be kept whatever becomes of the attempt',
        tags,
        params: idParams,
        body: notesRequest,
        response: responses({ 200: notesResponse }, 'ATTEMPT_SUPERSEDED'),
      },
    },
    async (request) => keepNotes(db, requireWorker(request).id, request.params.id, request.body),
  );

  app.post(
    '/storage/live',
    {
      schema: {
        summary: 'Which of a worker’s directories are litter',
        tags,
        body: storageLiveRequest,
        response: responses({ 200: storageLiveResponse }),
      },
    },
    async (request) => {
      const { id } = requireWorker(request, request.body.worker_id);
      return { removable: await findRemovable(db, request.body.shared ? null : id, request.body.items) };
    },
  );

  app.post(
    '/exports/:id/claim',
    {
      schema: {
        summary: 'Use up a download link, or ask what it would give',
        tags,
        params: idParams,
        body: claimRequest,
        response: responses({ 200: claimResponse }, 'NOT_FOUND', 'EXPORT_EXPIRED', 'EXPORT_NOT_READY'),
      },
    },
    async (request) => {
      const { id: workerId } = requireWorker(request, request.body.worker_id);
      const { link_token: linkToken, consume } = request.body;
      const claim = { exportId: request.params.id, workerId, linkToken, consume };
      return claimExport(db, app.jwt, claim);
    },
  );
};
