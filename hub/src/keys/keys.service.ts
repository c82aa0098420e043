import { XVaultError } from '@xvault/shared/errors.ts';
import { type KeyType, recipientType, wrongRecipients } from '@xvault/shared/recipients.ts';
import { generateKeyPair, seal } from '@xvault/shared/sealing.ts';
import type { Kysely, Transaction } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, TenantRow } from '../db/schema.ts';
import { invalidField } from '../http/problem.ts';
import { updateTenant } from '../tenants/tenants.repository.ts';
import { getTenant } from '../tenants/tenants.service.ts';
import {
  countByRecipient,
  countOthers,
  forgetIdentity,
  isAwaited,
  listTenantKeys,
  lockTenant,
  putPresentKey,
} from './keys.repository.ts';
import type { CustomerKey, KeysView } from './keys.schema.ts';

type Db = Kysely<Database>;

/** What new snapshots of a tenant are encrypted to. */
export function presentRecipients({ recipient, extra_recipients }: TenantRow): string[] {
  return [recipient, ...extra_recipients];
}

export async function viewKeys(db: Db, tenantId: string): Promise<KeysView> {
  const tenant = await getTenant(db, tenantId);
  const rows = await listTenantKeys(db, tenantId);
  const counts = await countByRecipient(db, tenantId);
  const keys = rows.map((row) => ({
    recipient: row.recipient,
    type: recipientType(row.recipient) ?? null,
    held_by: row.identity_sealed === null ? ('customer' as const) : ('platform' as const),
    since: row.created_at.toISOString(),
    retired_at: row.retired_at?.toISOString() ?? null,
    snapshots: counts.get(row.recipient) ?? 0,
  }));
  const present = keys.find(({ recipient }) => recipient === tenant.recipient);
  if (present === undefined) throw new XVaultError('INTERNAL', { detail: `tenant ${tenantId} lacks its present key` });
  return {
    present,
    extra_recipients: tenant.extra_recipients.map((recipient) => ({
      recipient,
      type: recipientType(recipient) ?? null,
      snapshots: counts.get(recipient) ?? 0,
    })),
    earlier: keys.filter((key) => key !== present),
    snapshots_to_rewrap: await countOthers(db, tenantId, presentRecipients(tenant)),
  };
}

/** Gives the tenant a new key that the platform keeps, sealed; what was encrypted before stays as it is. */
export async function rotateKey(
  db: Db,
  actor: Actor,
  tenantId: string,
  asked: KeyType | undefined,
  vaultRecipient: string,
): Promise<void> {
  const type = asked ?? recipientType((await getTenant(db, tenantId)).recipient) ?? 'x25519';
  const { identity, recipient } = await generateKeyPair(type);
  const sealed = await seal(identity, vaultRecipient);
  await changeKeys(db, actor, tenantId, 'tenant.key_rotate', async (trx, { extra_recipients }) => {
    await setKey(trx, tenantId, { recipient, identity_sealed: sealed, extra_recipients });
    return { recipient, type };
  });
}

/** New snapshots are encrypted to a key that the platform never has; those before stay readable until they are rewrapped. */
export async function useCustomerKey(db: Db, actor: Actor, tenantId: string, body: CustomerKey): Promise<void> {
  const { recipient } = body;
  await changeKeys(db, actor, tenantId, 'tenant.key_customer', async (trx, tenant) => {
    const extra = body.extra_recipients ?? tenant.extra_recipients;
    const known = (await listTenantKeys(trx, tenantId)).find((key) => key.recipient === recipient);
    if (known !== undefined && known.identity_sealed !== null) {
      throw invalidField('recipient', 'is a key that the platform has: use one whose identity only you have');
    }
    await setKey(trx, tenantId, { recipient, identity_sealed: null, extra_recipients: extra });
    return { recipient, extra_recipients: extra };
  });
}

export async function setExtraRecipients(db: Db, actor: Actor, tenantId: string, recipients: string[]): Promise<void> {
  await changeKeys(db, actor, tenantId, 'tenant.key_extra', async (trx, { recipient, identity_sealed }) => {
    await demandFitting([recipient, ...recipients]);
    await updateTenant(trx, tenantId, { recipient, identity_sealed, extra_recipients: JSON.stringify(recipients) });
    return { extra_recipients: recipients };
  });
}

/**
 * Ends the platform's ability to open what was encrypted to a retired key. Throws CONFLICT while a snapshot is, or while the key
 * is the present one, and NOT_FOUND.
 */
export async function forgetKey(db: Db, actor: Actor, tenantId: string, recipient: string): Promise<void> {
  await changeKeys(db, actor, tenantId, 'tenant.key_forget', async (trx, tenant) => {
    const key = (await listTenantKeys(trx, tenantId)).find((one) => one.recipient === recipient);
    if (key === undefined) throw new XVaultError('NOT_FOUND');
    if (recipient === tenant.recipient) throw new XVaultError('CONFLICT', { detail: 'it is the present key' });
    if (((await countByRecipient(trx, tenantId)).get(recipient) ?? 0) > 0) {
      throw new XVaultError('CONFLICT', { detail: 'snapshots are encrypted to it' });
    }
    if (await isAwaited(trx, tenantId, recipient)) throw new XVaultError('CONFLICT', { detail: 'a backup uses it' });
    await forgetIdentity(trx, tenantId, recipient);
    return { recipient };
  });
}

async function setKey(
  trx: Transaction<Database>,
  tenantId: string,
  key: { readonly recipient: string; readonly identity_sealed: string | null; readonly extra_recipients: string[] },
): Promise<void> {
  const { recipient, identity_sealed, extra_recipients } = key;
  await demandFitting([recipient, ...extra_recipients]);
  await putPresentKey(trx, { tenant_id: tenantId, recipient, identity_sealed });
  await updateTenant(trx, tenantId, { recipient, identity_sealed, extra_recipients: JSON.stringify(extra_recipients) });
}

/** One change at a time, with its audit. */
async function changeKeys(
  db: Db,
  actor: Actor,
  tenantId: string,
  action: string,
  change: (trx: Transaction<Database>, tenant: TenantRow) => Promise<Record<string, unknown>>,
): Promise<void> {
  await db.transaction().execute(async (trx) => {
    const tenant = await lockTenant(trx, tenantId);
    if (tenant === undefined) throw new XVaultError('NOT_FOUND');
    const details = await change(trx, tenant);
    await writeAudit(trx, actor, { tenantId, action, objectType: 'tenant', objectId: tenantId, details });
  });
}

async function demandFitting(recipients: readonly string[]): Promise<void> {
  const wrong = await wrongRecipients(recipients);
  if (wrong !== null) throw invalidField('recipients', wrong);
}
