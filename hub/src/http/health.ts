import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { sql } from 'kysely';
import { z } from 'zod';
import { within } from '../queues/within.ts';

const checkTimeoutMs = 2000;

const state = z.enum(['ok', 'unavailable']);
const readiness = z.strictObject({ status: state, database: state, redis: state });

/** `/healthz`: the process answers. `/readyz`: so do the database and Redis. */
export const healthRoutes: FastifyPluginAsyncZod = async (app) => {
  const { open, redis } = app.deps;

  async function check(name: string, probe: () => Promise<unknown>): Promise<z.infer<typeof state>> {
    try {
      await within(checkTimeoutMs, name, probe());
      return 'ok';
    } catch (error) {
      app.log.debug({ err: error, part: name }, 'not ready');
      return 'unavailable';
    }
  }

  app.get(
    '/healthz',
    {
      schema: {
        summary: 'The process is alive',
        tags: ['health'],
        security: [],
        response: { 200: z.strictObject({ status: z.literal('ok') }) },
      },
    },
    async () => ({ status: 'ok' as const }),
  );
  app.get(
    '/readyz',
    {
      schema: {
        summary: 'The database and Redis answer; 503 says which does not',
        tags: ['health'],
        security: [],
        response: { 200: readiness, 503: readiness },
      },
    },
    async (_request, reply) => {
      const [database, atRedis] = await Promise.all([
        check('database', () => sql`select 1`.execute(open.db)),
        check('redis', () => redis.ping()),
      ]);
      const status = database === 'ok' && atRedis === 'ok' ? 'ok' : 'unavailable';
      return reply.code(status === 'ok' ? 200 : 503).send({ status, database, redis: atRedis });
    },
  );
};
