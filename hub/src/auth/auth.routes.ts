import type { FastifyPluginAsyncZod } from 'fastify-type-provider-zod';
import { responses } from '../http/problem.ts';
import { createLimit, enforceLimit } from '../http/rate-limits.ts';
import { requirePrincipal } from '../http/request-context.ts';
import type { AccessClaims } from './access-token.ts';
import { loginBody, loginView, meView } from './auth.schema.ts';
import { signIn } from './auth.service.ts';
import { listMemberships } from './users.repository.ts';

/** The one route of the API that takes no token. */
export const loginRoutes: FastifyPluginAsyncZod = async (app) => {
  const { config, open } = app.deps;
  const perAccount = createLimit(app, config.loginLimitPerMinute);
  const perAddress = createLimit(app, config.loginLimitPerMinute * 4);

  app.post(
    '/login',
    {
      schema: {
        summary: 'Sign in with e-mail address and password',
        tags: ['auth'],
        security: [],
        body: loginBody,
        response: responses({ 200: loginView }, 'LOGIN_FAILED', 'NOT_FOUND'),
      },
    },
    async (request, reply) => {
      const { email, password, tenant_id: tenantId } = request.body;
      await enforceLimit(perAddress, request, reply, request.ip);
      await enforceLimit(perAccount, request, reply, email.toLowerCase());
      const signedIn = await signIn(open.db, { email, password, tenantId, address: request.ip });
      const claims: AccessClaims = { sub: signedIn.user.id, tid: signedIn.tenantId };
      reply.header('cache-control', 'no-store');
      return {
        access_token: app.jwt.sign(claims),
        token_type: 'Bearer' as const,
        expires_in: config.accessTokenMinutes * 60,
        user: signedIn.user,
        tenant_id: signedIn.tenantId,
        tenants: signedIn.tenants,
      };
    },
  );
};

export const meRoutes: FastifyPluginAsyncZod = async (app) => {
  app.get(
    '/me',
    { schema: { summary: 'Who the token belongs to', tags: ['auth'], response: responses({ 200: meView }) } },
    async (request) => {
      const { userId: id, email, platformRole: platform_role, tenantId: tenant_id, role } = requirePrincipal(request);
      const tenants = await listMemberships(app.deps.open.db, id);
      return { user: { id, email, platform_role }, tenant_id, role, tenants };
    },
  );
};
