import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { actorOf } from '../audit/audit.ts';
import { responses } from '../http/problem.ts';
import { requireOperator } from '../http/request-context.ts';
import { patchSettingsBody, settingsView } from './settings.schema.ts';
import { getSettings, patchSettings } from './settings.service.ts';

const tags = ['settings'];

/** For operators of the platform only. */
export const settingsRoutes: FastifyPluginAsyncZod = async (app) => {
  const { config, open } = app.deps;

  app.get(
    '/settings',
    {
      schema: { summary: 'Settings of the platform', tags, response: responses({ 200: settingsView }) },
      onRequest: async (request) => void requireOperator(request),
    },
    async () => getSettings(open.db, config),
  );

  app.patch(
    '/settings',
    {
      schema: {
        summary: 'Change settings of the platform; runs under way follow within seconds',
        tags,
        body: patchSettingsBody,
        response: responses({ 200: settingsView }),
      },
      onRequest: async (request) => void requireOperator(request),
    },
    async (request) => patchSettings(open.db, config, actorOf(request), request.body),
  );
};
