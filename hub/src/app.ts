import helmet from '@fastify/helmet';
import jwt from '@fastify/jwt';
import rateLimit from '@fastify/rate-limit';
import { newId } from '@xvault/shared/ids.ts';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod';
import { accessAudience, jwtIssuer } from './auth/access-token.ts';
import { loginRoutes, meRoutes } from './auth/auth.routes.ts';
import { connectionsRoutes } from './connections/connections.routes.ts';
import type { AppDeps } from './deps.ts';
import { destinationsRoutes } from './destinations/destinations.routes.ts';
import { exportsRoutes } from './exports/exports.routes.ts';
import { authPlugin } from './http/auth.ts';
import { setErrorHandler } from './http/error-handler.ts';
import { healthRoutes } from './http/health.ts';
import { setNotFoundHandler } from './http/not-found.ts';
import { registerOpenapi } from './http/openapi.ts';
import { createLimit, enforceLimit } from './http/rate-limits.ts';
import { logResponses } from './http/request-log.ts';
import { keepRouteList } from './http/route-list.ts';
import { refuseUnstorableText } from './http/storable-text.ts';
import { internalRoutes } from './internal/internal.routes.ts';
import { jobRunsRoutes } from './jobs/job-runs.routes.ts';
import { jobsRoutes } from './jobs/jobs.routes.ts';
import { keysRoutes } from './keys/keys.routes.ts';
import { runsRoutes } from './runs/runs.routes.ts';
import { schedulesRoutes } from './scheduling/schedules.routes.ts';
import { settingsRoutes } from './settings/settings.routes.ts';
import { restoreChangesRoutes } from './snapshots/restore-changes.routes.ts';
import { snapshotRunsRoutes } from './snapshots/snapshot-runs.routes.ts';
import { snapshotsRoutes } from './snapshots/snapshots.routes.ts';
import { sourceRunsRoutes } from './sources/source-runs.routes.ts';
import { sourcesRoutes } from './sources/sources.routes.ts';
import { tenantsRoutes } from './tenants/tenants.routes.ts';
import { workersRoutes } from './workers/workers.routes.ts';

export type { AppDeps } from './deps.ts';

const bodyLimitBytes = 1024 * 1024;
/** Longer than the 60 s that load balancers and proxies commonly keep a connection: the side that sends must be the one to close. */
const keepAliveTimeoutMs = 75_000;

/** Registration only, in order. The result neither listens nor owns what is in `deps`. */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { config } = deps;
  const loggerInstance: FastifyBaseLogger = deps.logger;
  const app = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: bodyLimitBytes,
    genReqId: newId,
    trustProxy: config.trustedProxies.length > 0 ? config.trustedProxies : false,
    forceCloseConnections: 'idle',
    keepAliveTimeout: keepAliveTimeoutMs,
    return503OnClosing: true,
  });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  app.decorate('deps', deps);
  app.decorateRequest('principal', null);
  app.decorateRequest('rateLimitKey', '');
  setErrorHandler(app);
  setNotFoundHandler(app);
  logResponses(app);

  await app.register(helmet);
  await app.register(rateLimit, { global: false });
  await app.register(jwt, {
    secret: config.jwtSecret,
    sign: { algorithm: 'HS256', iss: jwtIssuer, aud: accessAudience, expiresIn: `${config.accessTokenMinutes}m` },
    verify: { algorithms: ['HS256'], allowedIss: jwtIssuer, allowedAud: accessAudience },
  });
  keepRouteList(app);
  await registerOpenapi(app, config.publicUrl);

  await app.register(healthRoutes);
  await app.register(internalRoutes, { prefix: '/internal/v1' });
  await app.register(loginRoutes, { prefix: '/api/v1' });
  await app.register(apiRoutes, { prefix: '/api/v1' });
  return app;
}

/** Everything that needs a signed-in user. */
async function apiRoutes(api: FastifyInstance): Promise<void> {
  const limit = createLimit(api, api.deps.config.apiLimitPerMinute);
  api.addHook('onRequest', async (request, reply) => enforceLimit(limit, request, reply, request.ip));
  await api.register(authPlugin);
  refuseUnstorableText(api);
  await api.register(meRoutes);
  await api.register(tenantsRoutes);
  await api.register(keysRoutes);
  await api.register(settingsRoutes);
  await api.register(sourcesRoutes);
  await api.register(sourceRunsRoutes);
  await api.register(destinationsRoutes);
  await api.register(connectionsRoutes);
  await api.register(jobsRoutes);
  await api.register(jobRunsRoutes);
  await api.register(schedulesRoutes);
  await api.register(runsRoutes);
  await api.register(snapshotsRoutes);
  await api.register(snapshotRunsRoutes);
  await api.register(restoreChangesRoutes);
  await api.register(exportsRoutes);
  await api.register(workersRoutes);
}
