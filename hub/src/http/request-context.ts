import { XVaultError } from '@xvault/shared/errors.ts';
import type { FastifyRequest } from 'fastify';
import type { Role } from '../db/schema.ts';

/** Who asks, and for which tenant; set before a route of the API runs. */
export interface Principal {
  readonly userId: string;
  readonly email: string;
  readonly platformRole: 'operator' | null;
  readonly tenantId: string | null;
  /** In that tenant; operators of the platform act as its owner. */
  readonly role: Role | null;
}

declare module 'fastify' {
  interface FastifyRequest {
    principal: Principal | null;
  }
}

export function requirePrincipal(request: FastifyRequest): Principal {
  if (request.principal === null) throw new XVaultError('UNAUTHENTICATED');
  return request.principal;
}

/** Throws TENANT_REQUIRED when neither the token nor the header X-XVault-Tenant names one. */
export function requireTenant(request: FastifyRequest): { tenantId: string; role: Role } {
  const { tenantId, role } = requirePrincipal(request);
  if (tenantId === null || role === null) throw new XVaultError('TENANT_REQUIRED');
  return { tenantId, role };
}

/** Throws as {@link requireTenant}, and FORBIDDEN for members in other roles. */
export function requireTenantRole(request: FastifyRequest, roles: readonly Role[]): { tenantId: string } {
  const { tenantId, role } = requireTenant(request);
  if (!roles.includes(role)) throw new XVaultError('FORBIDDEN');
  return { tenantId };
}

/** Throws FORBIDDEN for all but operators of the platform. */
export function requireOperator(request: FastifyRequest): Principal {
  const principal = requirePrincipal(request);
  if (principal.platformRole !== 'operator') throw new XVaultError('FORBIDDEN');
  return principal;
}
