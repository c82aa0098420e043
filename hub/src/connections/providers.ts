import { XVaultError } from '@xvault/shared/errors.ts';
import type { HubConfig } from '../config.ts';

export const providerNames = ['google_drive', 'dropbox'] as const;
export type ProviderName = (typeof providerNames)[number];

/** An OAuth provider with the platform's app at it. */
export interface Provider {
  readonly name: ProviderName;
  readonly clientId: string;
  readonly clientSecret: string;
  readonly authorizeUrl: string;
  readonly tokenUrl: string;
  readonly scope: string;
  /** What makes the provider give a refresh token. */
  readonly offlineParams: Readonly<Record<string, string>>;
}

/** Throws OAUTH_NOT_CONFIGURED when the operator has given no app for it. */
export function providerOf(config: HubConfig, name: ProviderName): Provider {
  const provider = name === 'google_drive' ? googleDrive(config) : dropbox(config);
  if (provider === null) throw new XVaultError('OAUTH_NOT_CONFIGURED', { detail: name });
  return provider;
}

/** Source: Google's "Using OAuth 2.0 for Web Server Applications". */
function googleDrive(config: HubConfig): Provider | null {
  const { googleClientId: clientId, googleClientSecret: clientSecret } = config;
  if (clientId === undefined || clientSecret === undefined) return null;
  return {
    name: 'google_drive',
    clientId,
    clientSecret,
    authorizeUrl: config.googleAuthUrl,
    tokenUrl: config.googleTokenUrl,
    scope: 'https://www.googleapis.com/auth/drive.readonly',
    // Without the prompt a second consent gives no refresh token.
    offlineParams: { access_type: 'offline', prompt: 'consent', include_granted_scopes: 'false' },
  };
}

/** Source: Dropbox's "OAuth Guide". */
function dropbox(config: HubConfig): Provider | null {
  const { dropboxClientId: clientId, dropboxClientSecret: clientSecret } = config;
  if (clientId === undefined || clientSecret === undefined) return null;
  return {
    name: 'dropbox',
    clientId,
    clientSecret,
    authorizeUrl: config.dropboxAuthUrl,
    tokenUrl: config.dropboxTokenUrl,
    scope: 'account_info.read files.metadata.read files.content.read',
    offlineParams: { token_access_type: 'offline' },
  };
}
