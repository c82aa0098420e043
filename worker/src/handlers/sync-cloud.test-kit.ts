import { trustAlso } from '@xvault/shared/extra-authority.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { NotesRequest, StartResponse } from '@xvault/shared/internal-api.ts';
import { oauthToken } from '@xvault/shared/oauth-token.ts';
import type { ResultInput, SpecInput } from '@xvault/shared/run-kinds.ts';
import { seal, unseal } from '@xvault/shared/sealing.ts';
import type { GoogleDriveSecret, SourceConnection } from '@xvault/shared/sources.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';
import {
  providerHosts,
  startProviders,
  type TestProviders,
  testClient,
} from '@xvault/shared/testing/cloud/providers.ts';
import { identityToRecipient } from 'age-encryption';
import { type AddressGuard, createAddressGuard } from '../net/guard.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { createSourceConnector, type SourceConnector } from './source-connector.ts';
import { handleSyncBackup } from './sync-backup.ts';
import { makeSyncPlatform, type SyncPlatform, type Told } from './sync-context.test-kit.ts';

/** A connection as the Hub keeps it; runs change it as they would there. */
export interface KeptConnection {
  id: string;
  provider: 'google_drive' | 'dropbox';
  status: 'active' | 'reauthorize';
  sealed: string;
  generation: number;
  expiresAt: string | null;
}

export interface CloudRun {
  readonly told: Told;
  readonly diagnostics: Record<string, unknown>;
}

export interface CloudPlatform extends SyncPlatform {
  readonly providers: TestProviders;
  readonly sources: SourceConnector;
  connect(provider: KeptConnection['provider'], token?: unknown): Promise<KeptConnection>;
  tokenOf(connection: KeptConnection): Promise<{ access_token: string; refresh_token: string; expiry: string }>;
  /** What a run is given and says, which acts by a connection. */
  contextBy(
    connection: KeptConnection | null,
    source: SourceConnection,
    options?: Partial<SyncOptions>,
    secret?: GoogleDriveSecret,
  ): Promise<{ context: RunContext<'backup'> } & CloudRun>;
  sync(
    connection: KeptConnection | null,
    source: SourceConnection,
    jobId: string,
    options?: Partial<SyncOptions>,
    secret?: GoogleDriveSecret,
  ): Promise<{ result: ResultInput<'backup'> } & CloudRun>;
  stop(): Promise<void>;
}

/** A worker whose providers are the test's: their names lead to its server, and nothing else is changed. */
export async function makeCloudPlatform(env: Readonly<Record<string, string>> = withApps()): Promise<CloudPlatform> {
  const providers = await startProviders();
  trustAlso(providers.caPem);
  const platform = await makeSyncPlatform({
    XVAULT_GOOGLE_TOKEN_URL: providers.url('/token'),
    XVAULT_DROPBOX_TOKEN_URL: providers.url('/oauth2/token'),
    XVAULT_EXTRA_CA: providers.caPem,
    ...env,
  });
  const guard = leadingTo(providers, createAddressGuard({ allow: platform.config.XVAULT_ALLOW_NETWORKS }));
  const deps: HandlerDeps = { ...platform.deps, guard };
  const recipient = await identityToRecipient(platform.config.XVAULT_CREDENTIALS_IDENTITY);

  async function contextBy(
    connection: KeptConnection | null,
    source: SourceConnection,
    options: Partial<SyncOptions> = {},
    secret: GoogleDriveSecret = {},
    jobId = newId(),
  ) {
    const spec: SpecInput<'backup'> = {
      kind: 'backup',
      job_id: jobId,
      source_id: 'source',
      source,
      destination_id: 'destination',
      destination: { type: 'local_fs', config: {} },
      engine: 'sync',
      options: {},
      sync: options,
      recipients: ['age1unused'],
    };
    const given = source.type === 'google_drive' ? secret : undefined;
    const made = await platform.contextOf<'backup'>(spec, { source: given });
    const diagnostics: Record<string, unknown> = {};
    const keep = async (notes: Pick<NotesRequest, 'diagnostics' | 'connection'>) => {
      Object.assign(diagnostics, notes.diagnostics);
      return {
        generation: connection === null || notes.connection === undefined ? null : renew(connection, notes.connection),
      };
    };
    const start: StartResponse = { ...made.context.start, connection: connection && startOf(connection) };
    return { context: { ...made.context, start, keep }, told: made.told, diagnostics };
  }

  return {
    ...platform,
    deps,
    providers,
    sources: createSourceConnector(platform.config, guard),
    contextBy,
    async connect(provider, token) {
      const { accessToken, refreshToken, expiry } = (
        provider === 'dropbox' ? providers.dropbox : providers.google
      ).grant();
      const own = oauthToken.parse({ access_token: accessToken, refresh_token: refreshToken, expiry });
      const sealed = await seal(JSON.stringify(token ?? own), recipient);
      return { id: newId(), provider, status: 'active', sealed, generation: 1, expiresAt: null };
    },
    async tokenOf({ sealed }) {
      return oauthToken.parse(JSON.parse(await unseal(sealed, [platform.config.XVAULT_CREDENTIALS_IDENTITY])));
    },
    async sync(connection, source, jobId, options, secret) {
      const { context, told, diagnostics } = await contextBy(connection, source, options, secret, jobId);
      try {
        return { result: await handleSyncBackup(context, deps), told, diagnostics };
      } catch (error) {
        throw Object.assign(error as Error, { told, diagnostics });
      }
    },
    async stop() {
      await providers.stop();
      await platform.remove();
    },
  };
}

export function withApps(): Record<string, string> {
  const { clientId, clientSecret } = testClient;
  return {
    XVAULT_GOOGLE_CLIENT_ID: clientId,
    XVAULT_GOOGLE_CLIENT_SECRET: clientSecret,
    XVAULT_DROPBOX_CLIENT_ID: clientId,
    XVAULT_DROPBOX_CLIENT_SECRET: clientSecret,
  };
}

function leadingTo({ host, port }: TestProviders, guard: AddressGuard): AddressGuard {
  const names: readonly string[] = providerHosts;
  return {
    allows: (address) => guard.allows(address),
    dial: (name, wanted, options) =>
      names.includes(name) ? guard.dial(host, port, options) : guard.dial(name, wanted, options),
  };
}

function startOf({
  id,
  provider,
  status,
  sealed,
  generation,
}: KeptConnection): NonNullable<StartResponse['connection']> {
  return { connection_id: id, provider, status, token_sealed: sealed, generation };
}

/** By the Hub's rule: a token that was made of an older one than is there now is dropped. */
function renew(connection: KeptConnection, said: NonNullable<NotesRequest['connection']>): number | null {
  if (said.connection_id !== connection.id) return null;
  const isRepeated = said.status === 'active' && said.token_sealed === connection.sealed;
  if (isRepeated && said.generation === connection.generation - 1) return connection.generation;
  if (said.generation !== connection.generation) return null;
  connection.status = said.status;
  if (said.status === 'active') {
    connection.sealed = said.token_sealed;
    connection.expiresAt = said.access_expires_at;
    connection.generation += 1;
  }
  return connection.generation;
}
