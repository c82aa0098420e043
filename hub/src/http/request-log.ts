import type { FastifyInstance } from 'fastify';

/** One line per answer: workers' calls and health checks, which come all the time, at debug. */
export function logResponses(app: FastifyInstance): void {
  // Without looking for secrets in every line: these fields hold none.
  const log = app.log.child({}, { redact: [] });
  app.addHook('onResponse', async (request, reply) => {
    const level = request.url.startsWith('/api/') ? 'info' : 'debug';
    log[level](
      {
        reqId: request.id,
        method: request.method,
        // The pattern, not the address: ids of objects stay, what a client put into a query does not.
        route: request.routeOptions.url ?? null,
        params: request.params,
        status: reply.statusCode,
        duration_ms: Math.round(reply.elapsedTime),
        user_id: request.principal?.userId ?? null,
        tenant_id: request.principal?.tenantId ?? null,
        address: request.ip,
      },
      'answered',
    );
  });
}
