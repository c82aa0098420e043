import { type DestinationType, destinationSecrets } from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { NotesRequest, StartResponse } from '@xvault/shared/internal-api.ts';
import { type OauthToken, oauthToken } from '@xvault/shared/oauth-token.ts';
import { seal, unseal } from '@xvault/shared/sealing.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { type CryptSecret, cryptSecret } from '@xvault/shared/sync-options.ts';
import { identityToRecipient } from 'age-encryption';
import { z } from 'zod';
import type { WorkerConfig } from '../config.ts';
import type { CloudLogin } from '../engines/sync/sides/cloud-side.ts';
import type { RunContext } from './handler.ts';

/** What a run that acts by a connection is part of. */
export type Keeping = Pick<RunContext<'backup'>, 'start' | 'keep' | 'note'>;

const revokedCodes: readonly string[] = ['CONNECTION_REAUTHORIZE', 'ERR_GDRIVE_REFRESH_PRECHECK'];

/** Throws ERR_DECRYPT_SOURCE_CONFIG. */
export async function openDestinationSecret(
  type: DestinationType,
  sealed: string | null,
  config: WorkerConfig,
): Promise<unknown> {
  const schema = destinationSecrets[type];
  if (schema === null) return {};
  if (sealed === null) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the destination has no secret' });
  const parsed = schema.safeParse(JSON.parse(await unseal(sealed, [config.XVAULT_CREDENTIALS_IDENTITY])));
  if (!parsed.success) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the secret has another shape' });
  return parsed.data;
}

/** Password of the job's crypt; null where it does not encrypt. Throws ERR_DECRYPT_SOURCE_CONFIG. */
export async function openCryptSecret(
  isEncrypted: boolean,
  { job_secret_sealed: sealed }: StartResponse,
  config: WorkerConfig,
): Promise<CryptSecret | null> {
  if (!isEncrypted) return null;
  if (sealed == null) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the job has no key' });
  const parsed = cryptSecret.safeParse(JSON.parse(await unseal(sealed, [config.XVAULT_CREDENTIALS_IDENTITY])));
  if (!parsed.success) throw new XVaultError('ERR_DECRYPT_SOURCE_CONFIG', { detail: 'the key has another shape' });
  return parsed.data;
}

/** How the run signs in to a provider; a renewed token is sealed and kept at the Hub at once. */
export class ConnectionKeeper {
  readonly #context: Keeping;
  readonly #config: WorkerConfig;
  readonly #diagnostics: NonNullable<NotesRequest['diagnostics']> = {};
  #generation: number;
  #token: OauthToken | null = null;

  constructor(context: Keeping, config: WorkerConfig) {
    this.#context = context;
    this.#config = config;
    this.#generation = context.start.connection?.generation ?? 1;
  }

  /** @param reusesToken leaves a token that still holds as it is: for short questions beside a run that may renew it. */
  async login(reusesToken = false): Promise<CloudLogin> {
    const config = this.#config;
    const { connection } = this.#context.start;
    const app = (clientId: string | undefined, clientSecret: string | undefined) =>
      clientId === undefined || clientSecret === undefined ? undefined : { clientId, clientSecret };
    return {
      google: {
        app: app(config.XVAULT_GOOGLE_CLIENT_ID, config.XVAULT_GOOGLE_CLIENT_SECRET),
        tokenUrl: config.XVAULT_GOOGLE_TOKEN_URL,
      },
      dropbox: {
        app: app(config.XVAULT_DROPBOX_CLIENT_ID, config.XVAULT_DROPBOX_CLIENT_SECRET),
        tokenUrl: config.XVAULT_DROPBOX_TOKEN_URL,
      },
      connection:
        connection == null ? null : { status: connection.status, tokenJson: await this.#unsealed(connection) },
      reusesToken,
      onToken: (token) => this.keepToken(token),
      diagnose: (name, value) => this.diagnose(name, value),
    };
  }

  /** A flag or where a key came from; never the key. */
  diagnose(name: string, value: string | number | boolean | null): void {
    this.#diagnostics[name] = value;
  }

  /** Does nothing when it is the token that was kept last. */
  async keepToken(token: OauthToken): Promise<void> {
    const { connection } = this.#context.start;
    if (connection == null || isSame(token, this.#token)) return;
    const recipient = await identityToRecipient(this.#config.XVAULT_CREDENTIALS_IDENTITY);
    const { generation } = await this.#context.keep({
      connection: {
        status: 'active',
        connection_id: connection.connection_id,
        generation: this.#generation,
        token_sealed: await seal(JSON.stringify(token), recipient),
        access_expires_at: new Date(token.expiry).toISOString(),
      },
    });
    this.#token = token;
    if (generation === null) this.#context.note('the connection was signed in anew meanwhile: this token is not kept');
    else this.#generation = generation;
  }

  /** What rclone left of its config, which has the token that it renewed last. */
  async keepLeft(text: string | null): Promise<void> {
    const token = text === null ? null : readToken(text);
    if (token !== null) await this.keepToken(token);
  }

  /** Lets the Hub know when an error says that the provider no longer takes the token. */
  async heard(error: unknown): Promise<void> {
    if (error instanceof XVaultError && revokedCodes.includes(error.code)) await this.revoked();
  }

  /** The provider no longer takes the token: whoever owns the connection has to sign in again. */
  async revoked(): Promise<void> {
    const { connection } = this.#context.start;
    if (connection == null) return;
    const { connection_id } = connection;
    await this.#context.keep({ connection: { status: 'reauthorize', connection_id, generation: this.#generation } });
  }

  async #unsealed({ token_sealed }: NonNullable<StartResponse['connection']>): Promise<string> {
    const text = await unseal(token_sealed, [this.#config.XVAULT_CREDENTIALS_IDENTITY]);
    this.#token = readToken(text);
    return text;
  }

  /** Says what is known of the keys so far; never the keys. */
  async tellDiagnostics(): Promise<void> {
    if (Object.keys(this.#diagnostics).length > 0) await this.#context.keep({ diagnostics: this.#diagnostics });
  }
}

/** A service account has no connection to sign in to again: while it acts, its key was refused. */
export function asKeyError(error: unknown, { config }: SourceConnection): unknown {
  const actsByKey = 'connection_id' in config && config.connection_id === null;
  if (!actsByKey || !(error instanceof XVaultError) || error.code !== 'CONNECTION_REAUTHORIZE') return error;
  return new XVaultError('SOURCE_AUTH_FAILED', { detail: error.detail ?? error.code, cause: error });
}

function readToken(text: string): OauthToken | null {
  try {
    return z.object(oauthToken.shape).parse(JSON.parse(text));
  } catch {
    // What cannot be read is not kept; the one before it is.
    return null;
  }
}

function isSame(token: OauthToken, kept: OauthToken | null): boolean {
  return kept !== null && token.access_token === kept.access_token && token.refresh_token === kept.refresh_token;
}
