import { XVaultError } from '@xvault/shared/errors.ts';
import type { Kysely } from 'kysely';
import { writeAudit } from '../audit/audit.ts';
import type { Database } from '../db/schema.ts';
import { verifyNothing, verifyPassword } from './password.ts';
import { findActors, findUserByEmail, listMemberships, touchLogin } from './users.repository.ts';

interface Credentials {
  readonly email: string;
  readonly password: string;
  readonly tenantId: string | undefined;
  /** Of the client. */
  readonly address: string;
}

/** Throws LOGIN_FAILED, the same for an unknown address, a wrong password and a disabled user; NOT_FOUND for a foreign tenant. */
export async function signIn(db: Kysely<Database>, { email, password, tenantId, address }: Credentials) {
  const user = await findUserByEmail(db, email);
  const fits = user === undefined ? await verifyNothing(password) : await verifyPassword(password, user.password_hash);
  if (user === undefined || !fits || user.status !== 'active') throw new XVaultError('LOGIN_FAILED');
  const tenants = await listMemberships(db, user.id);
  const only = tenants.length === 1 ? tenants[0]?.id : undefined;
  const chosen = tenantId ?? only ?? null;
  if (tenantId !== undefined && !tenants.some((tenant) => tenant.id === tenantId)) {
    const [actor] = await findActors(db, [{ userId: user.id, tenantId }]);
    const mayActForAny = user.platform_role === 'operator' && actor?.tenant_status != null;
    if (!mayActForAny) throw new XVaultError('NOT_FOUND');
  }
  await touchLogin(db, user.id);
  await writeAudit(db, { userId: user.id, address }, { tenantId: chosen, action: 'login' });
  return { user: { id: user.id, email: user.email, platform_role: user.platform_role }, tenantId: chosen, tenants };
}
