import type { DropboxConfig, GoogleDriveConfig } from '@xvault/shared/sources.ts';
import type { Remote } from './remote.ts';

/** The platform's OAuth app at a provider. */
export interface OauthApp {
  readonly clientId: string;
  readonly clientSecret: string;
}

/** How a drive is signed in to: by a connection's token (rclone's JSON), or as a service account, whose JSON is the platform's own. */
export type DriveLogin =
  | { readonly app: OauthApp; readonly tokenJson: string; readonly tokenUrl?: string }
  | { readonly serviceAccountJson: string };

export function googleDriveRemote(config: GoogleDriveConfig, login: DriveLogin): Remote {
  return {
    options: {
      type: 'drive',
      // Reading is all that a backup may do to a customer's drive.
      scope: 'drive.readonly',
      ...('app' in login
        ? {
            client_id: login.app.clientId,
            client_secret: login.app.clientSecret,
            token: login.tokenJson,
            ...(login.tokenUrl === undefined ? {} : { token_url: login.tokenUrl }),
          }
        : { service_account_credentials: login.serviceAccountJson }),
      ...(config.root_folder_id === null ? {} : { root_folder_id: config.root_folder_id }),
      ...(config.team_drive === null ? {} : { team_drive: config.team_drive }),
      skip_shortcuts: 'true',
    },
    root: config.path,
    caPem: null,
    hashes: 'listed',
    web: { kind: 'provider', url: null },
  };
}

export function dropboxRemote(
  config: DropboxConfig,
  login: { readonly app: OauthApp; readonly tokenJson: string; readonly tokenUrl?: string },
): Remote {
  return {
    options: {
      type: 'dropbox',
      client_id: login.app.clientId,
      client_secret: login.app.clientSecret,
      token: login.tokenJson,
      ...(login.tokenUrl === undefined ? {} : { token_url: login.tokenUrl }),
    },
    root: config.path,
    caPem: null,
    hashes: 'listed',
    web: { kind: 'provider', url: null },
  };
}
