import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { z } from 'zod';
import { actorOf } from '../audit/audit.ts';
import { idParams } from '../http/id-params.ts';
import { pageQuery, toPage, toPageRequest } from '../http/pagination.ts';
import { responses } from '../http/problem.ts';
import { requireTenant } from '../http/request-context.ts';
import { toJobView } from './job-view.ts';
import { listJobs } from './jobs.repository.ts';
import { createJobBody, jobPage, jobView, patchJobBody } from './jobs.schema.ts';
import { createJob, deleteJob, getJob, patchJob } from './jobs.service.ts';

const tags = ['jobs'];

export const jobsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;

  app.post(
    '/jobs',
    {
      schema: { summary: 'Define a backup job', tags, body: createJobBody, response: responses({ 201: jobView }) },
    },
    async (request, reply) => {
      const job = await createJob(
        db,
        actorOf(request),
        requireTenant(request).tenantId,
        app.deps.config.credentialsRecipient,
        request.body,
      );
      return reply.code(201).header('location', `/api/v1/jobs/${job.id}`).send(toJobView(job));
    },
  );

  app.get(
    '/jobs',
    { schema: { summary: 'List jobs', tags, querystring: pageQuery, response: responses({ 200: jobPage }) } },
    async (request) => {
      const rows = await listJobs(db, requireTenant(request).tenantId, toPageRequest(request.query));
      return toPage(rows, request.query.limit, toJobView);
    },
  );

  app.get(
    '/jobs/:id',
    { schema: { summary: 'A job', tags, params: idParams, response: responses({ 200: jobView }, 'NOT_FOUND') } },
    async (request) => toJobView(await getJob(db, requireTenant(request).tenantId, request.params.id)),
  );

  app.patch(
    '/jobs/:id',
    {
      schema: {
        summary: 'Change, pause or resume a job; runs that exist keep what they were made with',
        tags,
        params: idParams,
        body: patchJobBody,
        response: responses({ 200: jobView }, 'NOT_FOUND'),
      },
    },
    async (request) => {
      const { params, body } = request;
      return toJobView(await patchJob(db, actorOf(request), requireTenant(request).tenantId, params.id, body));
    },
  );

  app.delete(
    '/jobs/:id',
    {
      schema: {
        summary: 'Delete a job; its runs and snapshots stay',
        tags,
        params: idParams,
        response: responses({ 204: z.undefined() }, 'NOT_FOUND'),
      },
    },
    async (request, reply) => {
      await deleteJob(db, actorOf(request), requireTenant(request).tenantId, request.params.id);
      return reply.code(204).send();
    },
  );
};
