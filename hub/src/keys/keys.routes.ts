import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { actorOf } from '../audit/audit.ts';
import { responses } from '../http/problem.ts';
import { requireTenantRole } from '../http/request-context.ts';
import {
  customerKeyBody,
  extraRecipientsBody,
  forgetBody,
  keysView,
  rewrapAccepted,
  rotateBody,
} from './keys.schema.ts';
import { forgetKey, rotateKey, setExtraRecipients, useCustomerKey, viewKeys } from './keys.service.ts';
import { rewrapSnapshots } from './rewrap.service.ts';

const tags = ['keys'];

/** What snapshots of a tenant are encrypted to; for its owners and admins. */
export const keysRoutes: FastifyPluginAsyncZod = async (app) => {
  const { db } = app.deps.open;
  const tenantOf = (request: Parameters<typeof requireTenantRole>[0]) =>
    requireTenantRole(request, ['owner', 'admin']).tenantId;

  app.get(
    '/tenant/keys',
    { schema: { summary: 'The keys of the tenant', tags, response: responses({ 200: keysView }) } },
    async (request) => viewKeys(db, tenantOf(request)),
  );

  app.post(
    '/tenant/keys/rotate',
    {
      schema: {
        summary: 'Make a new key that the platform keeps',
        description: 'For new snapshots. Those that are there keep their keys until they are rewrapped.',
        tags,
        body: rotateBody,
        response: responses({ 200: keysView }),
      },
      onRequest: async (request) => void tenantOf(request),
    },
    async (request) => {
      const tenantId = tenantOf(request);
      await rotateKey(db, actorOf(request), tenantId, request.body.type, app.deps.config.vaultRecipient);
      return viewKeys(db, tenantId);
    },
  );

  app.put(
    '/tenant/keys/customer',
    {
      schema: {
        summary: 'Use a key that only the customer has',
        description:
          'For new snapshots. Restoring them takes the identity with the request, or the encrypted artifact.',
        tags,
        body: customerKeyBody,
        response: responses({ 200: keysView }),
      },
      onRequest: async (request) => void tenantOf(request),
    },
    async (request) => {
      const tenantId = tenantOf(request);
      await useCustomerKey(db, actorOf(request), tenantId, request.body);
      return viewKeys(db, tenantId);
    },
  );

  app.put(
    '/tenant/keys/extra-recipients',
    {
      schema: {
        summary: 'Set who else can open new snapshots',
        tags,
        body: extraRecipientsBody,
        response: responses({ 200: keysView }),
      },
      onRequest: async (request) => void tenantOf(request),
    },
    async (request) => {
      const tenantId = tenantOf(request);
      await setExtraRecipients(db, actorOf(request), tenantId, request.body.recipients);
      return viewKeys(db, tenantId);
    },
  );

  app.post(
    '/tenant/keys/rewrap',
    {
      schema: {
        summary: 'Give all snapshots to the present recipients',
        description:
          'A run for each snapshot; its encrypted contents stay as they are, only the header is written anew.',
        tags,
        response: responses({ 202: rewrapAccepted }),
      },
      onRequest: async (request) => void tenantOf(request),
    },
    async (request, reply) => reply.code(202).send(await rewrapSnapshots(db, actorOf(request), tenantOf(request))),
  );

  app.post(
    '/tenant/keys/forget',
    {
      schema: {
        summary: 'Destroy the platform’s copy of an earlier key',
        tags,
        body: forgetBody,
        response: responses({ 200: keysView }, 'NOT_FOUND', 'CONFLICT'),
      },
      onRequest: async (request) => void tenantOf(request),
    },
    async (request) => {
      const tenantId = tenantOf(request);
      await forgetKey(db, actorOf(request), tenantId, request.body.recipient);
      return viewKeys(db, tenantId);
    },
  );
};
