import { XVaultError } from '@xvault/shared/errors.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { accessClaims } from '../auth/access-token.ts';
import { type ActorKey, type ActorRow, findActors } from '../auth/users.repository.ts';
import { createBatcher } from '../loops/batcher.ts';
import type { Principal } from './request-context.ts';

const tenantHeader = 'x-xvault-tenant';

/**
 * Every request of the scope carries an access token whose user, tenant and membership are still active; viewers only read.
 * Runs before validation, so that strangers learn nothing about the API's inputs.
 */
export const authPlugin = fp(
  async (app) => {
    const { db } = app.deps.open;
    // Looked up at each request, so that a right that was taken away is gone; those of one moment by one query.
    const findActor = createBatcher<ActorKey, ActorRow | undefined>({
      carryOut: async (keys) => (await findActors(db, keys)).map((value) => ({ value })),
    });
    app.addHook('onRequest', async (request) => {
      const principal = await authenticate(request, findActor);
      const isRead = request.method === 'GET' || request.method === 'HEAD';
      if (principal.role === 'viewer' && !isRead) throw new XVaultError('FORBIDDEN');
      request.principal = principal;
    });
  },
  { name: 'auth', encapsulate: false },
);

async function authenticate(
  request: FastifyRequest,
  findActor: (key: ActorKey) => Promise<ActorRow | undefined>,
): Promise<Principal> {
  const { userId, tenantId: ofToken } = await readToken(request);
  const named = tenantOfHeader(request);
  const tenantId = named ?? ofToken;
  const actor = await findActor({ userId, tenantId });
  if (actor === undefined || actor.status !== 'active') throw new XVaultError('UNAUTHENTICATED');
  const { email, platform_role: platformRole } = actor;
  if (tenantId === null) return { userId, email, platformRole, tenantId: null, role: null };
  if (platformRole === 'operator') {
    if (actor.tenant_status === null) throw new XVaultError('NOT_FOUND');
    return { userId, email, platformRole, tenantId, role: 'owner' };
  }
  if (actor.role === null) throw new XVaultError(named === null ? 'UNAUTHENTICATED' : 'NOT_FOUND');
  if (actor.tenant_status !== 'active') throw new XVaultError('FORBIDDEN', { detail: 'the tenant is suspended' });
  return { userId, email, platformRole, tenantId, role: actor.role };
}

async function readToken(request: FastifyRequest): Promise<{ userId: string; tenantId: string | null }> {
  try {
    const claims = accessClaims.parse(await request.jwtVerify());
    return { userId: claims.sub, tenantId: claims.tid };
  } catch (cause) {
    throw new XVaultError('UNAUTHENTICATED', { cause });
  }
}

function tenantOfHeader(request: FastifyRequest): string | null {
  const value = request.headers[tenantHeader];
  if (value === undefined) return null;
  const id = idSchema.safeParse(value);
  if (!id.success) throw new XVaultError('NOT_FOUND');
  return id.data;
}
