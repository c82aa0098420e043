import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { generateKeyPair, seal } from '@xvault/shared/sealing.ts';
import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import { hashPassword } from '../auth/password.ts';
import { insertMembership, insertUser } from '../auth/users.repository.ts';
import type { Database, TenantRow } from '../db/schema.ts';
import { findTenant, insertTenant, insertTenantKey, updateTenant } from './tenants.repository.ts';
import type { CreateTenant, PatchTenant } from './tenants.schema.ts';

type Db = Kysely<Database>;

/**
 * Makes the tenant with a key pair of its own, whose identity is kept only sealed to the vault recipient. Throws CONFLICT when the
 * owner's address is taken.
 */
export async function createTenant(db: Db, actor: Actor, vaultRecipient: string, body: CreateTenant) {
  const { identity, recipient } = await generateKeyPair(body.key_type);
  const identitySealed = await seal(identity, vaultRecipient);
  const { owner, local_paths, key_type: _, ...columns } = body;
  const passwordHash = owner === undefined ? '' : await hashPassword(owner.password);
  return db.transaction().execute(async (trx) => {
    const id = newId();
    const tenant = await insertTenant(trx, {
      ...columns,
      id,
      recipient,
      identity_sealed: identitySealed,
      local_paths: JSON.stringify(local_paths),
    });
    await insertTenantKey(trx, { tenant_id: id, recipient, identity_sealed: identitySealed });
    let ownerId: string | null = null;
    if (owner !== undefined) {
      ownerId = newId();
      const made = await insertUser(trx, { id: ownerId, email: owner.email, passwordHash, platformRole: null });
      if (!made) throw new XVaultError('CONFLICT', { detail: 'the address of the owner is taken' });
      await insertMembership(trx, id, ownerId, 'owner');
    }
    const details = { name: body.name, owner_user_id: ownerId };
    await writeAudit(trx, actor, {
      tenantId: id,
      action: 'tenant.create',
      objectType: 'tenant',
      objectId: id,
      details,
    });
    return { tenant, ownerId };
  });
}

/** Throws NOT_FOUND. */
export async function getTenant(db: Db, tenantId: string): Promise<TenantRow> {
  const tenant = await findTenant(db, tenantId);
  if (tenant === undefined) throw new XVaultError('NOT_FOUND');
  return tenant;
}

export async function patchTenant(db: Db, actor: Actor, tenantId: string, body: PatchTenant): Promise<TenantRow> {
  if (Object.keys(body).length === 0) return getTenant(db, tenantId);
  const { local_paths, ...columns } = body;
  return db.transaction().execute(async (trx) => {
    const paths = local_paths !== undefined && { local_paths: JSON.stringify(local_paths) };
    const tenant = await updateTenant(trx, tenantId, { ...columns, ...paths });
    if (tenant === undefined) throw new XVaultError('NOT_FOUND');
    const object = { objectType: 'tenant', objectId: tenantId };
    await writeAudit(trx, actor, { tenantId, action: 'tenant.update', ...object, details: body });
    return tenant;
  });
}
