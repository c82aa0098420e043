import { XVaultError } from '@xvault/shared/errors.ts';
import { type OauthToken, oauthToken } from '@xvault/shared/oauth-token.ts';
import type { GoogleDriveSecret, SourceOf } from '@xvault/shared/sources.ts';
import { refreshToken } from '../oauth/refresh.ts';
import { readServiceAccount, serviceAccountJson, tryServiceAccount } from '../oauth/service-account.ts';
import { dropboxRemote, googleDriveRemote, type OauthApp } from '../remotes/cloud.ts';
import { nothingToClose, type Side } from './side.ts';

/** A short question is answered within that. */
const reusableMs = 300_000;

export interface ProviderSettings {
  /** Undefined where the operator gave none. */
  readonly app: OauthApp | undefined;
  readonly tokenUrl: string;
}

/** How accounts at providers are signed in to in this run. */
export interface CloudLogin {
  readonly google: ProviderSettings;
  readonly dropbox: ProviderSettings;
  /** Null where there is none, or none any more; `tokenJson` is rclone's form of its token, unsealed. */
  readonly connection: { readonly status: 'active' | 'reauthorize'; readonly tokenJson: string } | null;
  /** A token that still holds is used as it is. */
  readonly reusesToken: boolean;
  /** Told of the renewed token, which is to be sealed and kept at once. */
  readonly onToken: (token: OauthToken) => Promise<void>;
  /** Flags for operators; never values. */
  readonly diagnose: (name: string, value: string | number | boolean | null) => void;
}

/**
 * Signs in before rclone starts, so that what the provider says of it is heard and told in clear words. Throws ERR_GDRIVE_…,
 * CONNECTION_REAUTHORIZE, OAUTH_NOT_CONFIGURED, SOURCE_….
 */
export async function openCloudSide(
  source: SourceOf<'google_drive' | 'dropbox'>,
  secret: unknown,
  login: CloudLogin,
  signal: AbortSignal,
): Promise<Side> {
  if (source.type === 'google_drive') {
    if (source.config.connection_id === null)
      return openServiceAccount(source, secret as GoogleDriveSecret, login, signal);
    const { app, tokenJson } = await renew('gdrive', login.google, login, signal);
    const { tokenUrl } = login.google;
    const remote = googleDriveRemote(source.config, { app, tokenJson, tokenUrl });
    return { remote, listsMtimes: true, close: nothingToClose };
  }
  const { app, tokenJson } = await renew('dropbox', login.dropbox, login, signal);
  const remote = dropboxRemote(source.config, { app, tokenJson, tokenUrl: login.dropbox.tokenUrl });
  return { remote, listsMtimes: true, close: nothingToClose };
}

/** Throws ERR_GDRIVE_SOURCE_LOOKUP without a key, SOURCE_KEY_INVALID, SOURCE_AUTH_FAILED. */
async function openServiceAccount(
  { config }: SourceOf<'google_drive'>,
  { service_account_json: json }: GoogleDriveSecret,
  { google: { tokenUrl }, diagnose }: CloudLogin,
  signal: AbortSignal,
): Promise<Side> {
  if (json === undefined) throw new XVaultError('ERR_GDRIVE_SOURCE_LOOKUP');
  diagnose('gdrive.service_account', true);
  const account = readServiceAccount(json);
  try {
    await tryServiceAccount(account, tokenUrl, signal);
    diagnose('gdrive.service_account_ok', true);
  } catch (error) {
    diagnose('gdrive.service_account_ok', false);
    throw error;
  }
  const remote = googleDriveRemote(config, { serviceAccountJson: serviceAccountJson(account, tokenUrl) });
  return { remote, listsMtimes: true, close: nothingToClose };
}

async function renew(name: 'gdrive' | 'dropbox', settings: ProviderSettings, login: CloudLogin, signal: AbortSignal) {
  const { app, tokenUrl } = settings;
  const isGoogle = name === 'gdrive';
  login.diagnose(`${name}.client_credentials_present`, app !== undefined);
  if (app === undefined) {
    throw new XVaultError(isGoogle ? 'ERR_GDRIVE_NO_CLIENT_CREDENTIALS' : 'OAUTH_NOT_CONFIGURED');
  }
  const { connection } = login;
  login.diagnose(`${name}.connection_status`, connection?.status ?? null);
  if (connection === null) throw new XVaultError(isGoogle ? 'ERR_GDRIVE_SOURCE_LOOKUP' : 'CONNECTION_REAUTHORIZE');
  const parsed = oauthToken.safeParse(parse(connection.tokenJson));
  login.diagnose(`${name}.refresh_token_present`, parsed.success);
  if (!parsed.success) throw new XVaultError(isGoogle ? 'ERR_GDRIVE_NO_REFRESH_TOKEN' : 'CONNECTION_REAUTHORIZE');
  if (connection.status === 'reauthorize') {
    throw new XVaultError('CONNECTION_REAUTHORIZE', { detail: 'the provider refused the token before' });
  }
  if (login.reusesToken && holdsFor(parsed.data) > reusableMs) return { app, tokenJson: JSON.stringify(parsed.data) };
  try {
    const token = await refreshToken({ app, tokenUrl, token: parsed.data, signal });
    login.diagnose(`${name}.pre_refresh_ok`, true);
    login.diagnose(`${name}.pre_refresh_expiry`, token.expiry);
    await login.onToken(token);
    return { app, tokenJson: JSON.stringify(token) };
  } catch (error) {
    login.diagnose(`${name}.pre_refresh_ok`, false);
    throw isGoogle ? asGoogleError(error) : error;
  }
}

/** The same under the names that Google Drive's errors have. */
function asGoogleError(error: unknown): unknown {
  if (!(error instanceof XVaultError)) return error;
  const options = { detail: error.detail ?? error.code, cause: error };
  if (error.code === 'CONNECTION_REAUTHORIZE') return new XVaultError('ERR_GDRIVE_REFRESH_PRECHECK', options);
  if (error.code === 'OAUTH_NOT_CONFIGURED') return new XVaultError('ERR_GDRIVE_NO_CLIENT_CREDENTIALS', options);
  return error;
}

function holdsFor({ expiry }: OauthToken): number {
  return Date.parse(expiry) - Date.now();
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Damaged is as good as missing.
    return null;
  }
}
