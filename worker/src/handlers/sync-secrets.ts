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
import { actsByKey, keyCode } from '../engines/sync/oauth/key-code.ts';
import type { CloudLogin } from '../engines/sync/sides/cloud-side.ts';
import { openSealed, openSecretOfDestination } from '../storage/open-sealed.ts';
import type { RunContext } from './handler.ts';

/** What a run that acts by a connection is part of. */
export type Keeping = Pick<RunContext<'backup'>, 'start' | 'keep' | 'note'>;

const revokedCodes: readonly string[] = ['CONNECTION_REAUTHORIZE', 'ERR_GDRIVE_REFRESH_PRECHECK'];

/** Throws ERR_DECRYPT_DEST_ACCESS_KEY where what was sealed has no access key, ERR_DECRYPT_DEST_SECRET_KEY. */
export async function openDestinationSecret(
  type: DestinationType,
  sealed: string | null,
  config: WorkerConfig,
): Promise<unknown> {
  const schema: z.ZodType | null = destinationSecrets[type];
  if (schema === null) return {};
  return openSecretOfDestination(schema, sealed, [config.XVAULT_CREDENTIALS_IDENTITY]);
}

/** Password of the job's crypt; null where it does not encrypt. Throws ERR_DECRYPT_CRYPT_KEY. */
export async function openCryptSecret(
  isEncrypted: boolean,
  { job_secret_sealed: sealed }: StartResponse,
  config: WorkerConfig,
): Promise<CryptSecret | null> {
  if (!isEncrypted) return null;
  const identities = [config.XVAULT_CREDENTIALS_IDENTITY];
  const opened = await openSealed(sealed ?? null, identities, 'ERR_DECRYPT_CRYPT_KEY');
  const parsed = cryptSecret.safeParse(opened);
  if (!parsed.success) throw new XVaultError('ERR_DECRYPT_CRYPT_KEY', { detail: 'the key has another shape' });
  return parsed.data;
}

interface RenewedToken {
  readonly token: OauthToken;
  readonly connectionId: string;
  readonly sealed: string;
}

/** How the run signs in to a provider; a renewed token is sealed and kept at the Hub at once. */
export class ConnectionKeeper {
  readonly #context: Keeping;
  readonly #config: WorkerConfig;
  readonly #diagnostics: NonNullable<NotesRequest['diagnostics']> = {};
  /** The diagnostics that the Hub has. */
  #told = '{}';
  #telling: Promise<void> = Promise.resolve();
  #generation: number;
  /** That the Hub has. */
  #token: OauthToken | null = null;
  #unanswered: RenewedToken | null = null;

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
      onToken: (token) => this.#keepToken(token),
      diagnose: (name, value) => this.diagnose(name, value),
    };
  }

  /** A flag or where a key came from; never the key. */
  diagnose(name: string, value: string | number | boolean | null): void {
    this.#diagnostics[name] = value;
  }

  /** Does nothing when it is the token that was kept last. Where the Hub does not answer, {@link keepLeft} tries again. */
  async #keepToken(token: OauthToken): Promise<void> {
    // As it was sealed then: the Hub may have it, and knows it by that.
    if (this.#unanswered !== null) await this.#handOver(this.#unanswered);
    const { connection } = this.#context.start;
    if (connection == null || isSame(token, this.#token)) return;
    const recipient = await identityToRecipient(this.#config.XVAULT_CREDENTIALS_IDENTITY);
    await this.#handOver({
      token,
      connectionId: connection.connection_id,
      sealed: await seal(JSON.stringify(token), recipient),
    });
  }

  async #handOver(renewed: RenewedToken): Promise<void> {
    const { token, connectionId, sealed } = renewed;
    const connection = {
      status: 'active' as const,
      connection_id: connectionId,
      generation: this.#generation,
      token_sealed: sealed,
      access_expires_at: new Date(token.expiry).toISOString(),
    };
    const kept = await this.#keep({ connection }, 'the renewed token');
    this.#unanswered = kept === null ? renewed : null;
    if (kept === null) return;
    this.#token = token;
    const { generation } = kept;
    if (generation === null) this.#context.note('the connection was signed in anew meanwhile: this token is not kept');
    else this.#generation = generation;
  }

  /** What rclone left of its config, which has the token that it renewed last. What fails is told and ends no run. */
  async keepLeft(left: () => Promise<string | null>): Promise<void> {
    try {
      const text = await left();
      const token = text === null ? null : readToken(text);
      if (token !== null) await this.#keepToken(token);
    } catch (error) {
      this.#context.note(`what rclone left of the token could not be kept: ${String(error)}`);
    }
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
    const revoked = { status: 'reauthorize' as const, connection_id, generation: this.#generation };
    await this.#keep({ connection: revoked }, 'that the provider refused the connection');
  }

  async #unsealed({ token_sealed }: NonNullable<StartResponse['connection']>): Promise<string> {
    const text = await unseal(token_sealed, [this.#config.XVAULT_CREDENTIALS_IDENTITY]);
    this.#token = readToken(text);
    return text;
  }

  /** Says what is known of the keys so far; never the keys. What was asked for before it is waited for as well. */
  tellDiagnostics(): Promise<void> {
    this.#telling = this.#telling.then(async () => {
      const diagnostics = { ...this.#diagnostics };
      const text = JSON.stringify(diagnostics);
      if (text === this.#told) return;
      if ((await this.#keep({ diagnostics }, 'the diagnostics')) !== null) this.#told = text;
    });
    return this.#telling;
  }

  /** Null where the Hub could not be told; how the run ends is not for that to say. */
  async #keep(notes: Parameters<Keeping['keep']>[0], what: string): Promise<{ generation: number | null } | null> {
    try {
      return await this.#context.keep(notes);
    } catch (error) {
      this.#context.note(`${what} could not be kept: ${String(error)}`);
      return null;
    }
  }
}

/** Of a source that is read by a service account: what is its key's fault, said so. */
export function asKeyError(error: unknown, source: SourceConnection): unknown {
  if (!actsByKey(source) || !(error instanceof XVaultError) || keyCode(error.code) === error.code) return error;
  return new XVaultError(keyCode(error.code), { detail: error.detail ?? error.code, cause: error });
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
