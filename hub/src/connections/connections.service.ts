import type { JWT } from '@fastify/jwt';
import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import { oauthToken } from '@xvault/shared/oauth-token.ts';
import { seal } from '@xvault/shared/sealing.ts';
import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { HubConfig } from '../config.ts';
import type { Database } from '../db/schema.ts';
import { authorizeUrl, codeVerifier, readState, signState, stateMinutes } from './authorization.ts';
import {
  type ConnectionRow,
  findConnection,
  findConnectionForUpdate,
  insertConnection,
  isConnectionInUse,
  updateConnection,
} from './connections.repository.ts';
import { exchangeCode } from './exchange-code.ts';
import { type ProviderName, providerOf } from './providers.ts';

type Db = Kysely<Database>;
const objectType = 'connection';

export interface Asking {
  readonly tenantId: string;
  readonly userId: string;
}

/** Where a user signs in with the provider. Throws OAUTH_NOT_CONFIGURED, NOT_FOUND. */
export async function beginAuthorization(
  db: Db,
  jwt: JWT,
  config: HubConfig,
  { tenantId, userId }: Asking,
  body: { readonly provider: ProviderName; readonly name: string; readonly connection_id?: string | undefined },
) {
  const provider = providerOf(config, body.provider);
  if (body.connection_id !== undefined) {
    const { provider: known } = await getConnection(db, tenantId, body.connection_id);
    if (known !== body.provider) throw new XVaultError('NOT_FOUND');
  }
  const again = body.connection_id === undefined ? {} : { connection: body.connection_id };
  const state = signState(jwt, { tenant: tenantId, user: userId, provider: body.provider, name: body.name, ...again });
  const url = authorizeUrl(provider, redirectUrl(config), state, codeVerifier(config.jwtSecret, state));
  return { authorize_url: url, state, expires_at: new Date(Date.now() + stateMinutes * 60_000).toISOString() };
}

/** Changes the code that the provider sent for tokens, which are sealed at once. Throws OAUTH_STATE_INVALID, OAUTH_…. */
export async function completeAuthorization(
  db: Db,
  jwt: JWT,
  config: HubConfig,
  actor: Actor,
  { tenantId, userId }: Asking,
  { state, code }: { readonly state: string; readonly code: string },
): Promise<ConnectionRow> {
  const claims = readState(jwt, state, userId);
  if (claims.tenant !== tenantId) throw new XVaultError('OAUTH_STATE_INVALID', { detail: 'of another tenant' });
  const provider = providerOf(config, claims.provider);
  const verifier = codeVerifier(config.jwtSecret, state);
  const granted = await exchangeCode(provider, { code, verifier, redirectUrl: redirectUrl(config) });
  const token = oauthToken.parse({
    access_token: granted.accessToken,
    refresh_token: granted.refreshToken,
    token_type: 'Bearer',
    expiry: granted.expiresAt.toISOString(),
  });
  const sealed = {
    token_sealed: await seal(JSON.stringify(token), config.credentialsRecipient),
    access_expires_at: granted.expiresAt,
    status: 'active' as const,
  };
  return db.transaction().execute(async (trx) => {
    const before =
      claims.connection === undefined ? undefined : await findConnectionForUpdate(trx, tenantId, claims.connection);
    if (claims.connection !== undefined && before === undefined) throw new XVaultError('NOT_FOUND');
    const row =
      before === undefined
        ? await insertConnection(trx, {
            id: newId(),
            tenant_id: tenantId,
            provider: claims.provider,
            name: claims.name,
            ...sealed,
          })
        : await updateConnection(trx, tenantId, before.id, { ...sealed, generation: before.generation + 1 });
    if (row === undefined) throw new XVaultError('NOT_FOUND');
    const action = before === undefined ? 'connection.create' : 'connection.reauthorize';
    const details = { provider: claims.provider };
    await writeAudit(trx, actor, { tenantId, action, objectType, objectId: row.id, details });
    return row;
  });
}

/** Throws NOT_FOUND. */
export async function getConnection(db: Db, tenantId: string, connectionId: string): Promise<ConnectionRow> {
  const row = await findConnection(db, tenantId, connectionId);
  if (row === undefined) throw new XVaultError('NOT_FOUND');
  return row;
}

/** Throws CONFLICT while a source acts by it. Its token is gone for good. */
export async function deleteConnection(db: Db, actor: Actor, tenantId: string, connectionId: string): Promise<void> {
  await db.transaction().execute(async (trx) => {
    if ((await findConnectionForUpdate(trx, tenantId, connectionId)) === undefined) throw new XVaultError('NOT_FOUND');
    if (await isConnectionInUse(trx, tenantId, connectionId)) throw new XVaultError('CONFLICT');
    await updateConnection(trx, tenantId, connectionId, { status: 'deleted', token_sealed: null });
    await writeAudit(trx, actor, { tenantId, action: 'connection.delete', objectType, objectId: connectionId });
  });
}

/** Throws OAUTH_NOT_CONFIGURED. */
function redirectUrl({ oauthRedirectUrl, publicUrl }: HubConfig): string {
  if (oauthRedirectUrl !== undefined) return oauthRedirectUrl;
  if (publicUrl === undefined) {
    throw new XVaultError('OAUTH_NOT_CONFIGURED', { detail: 'set XVAULT_OAUTH_REDIRECT_URL or XVAULT_PUBLIC_URL' });
  }
  return `${publicUrl.replace(/\/+$/, '')}/oauth/callback`;
}
