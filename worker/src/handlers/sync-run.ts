import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import type { CryptSecret } from '@xvault/shared/sync-options.ts';
import { openRunWithToken } from '../engines/sync/oauth/hand-on-token.ts';
import type { RcloneRun } from '../engines/sync/open-run.ts';
import type { LogLine } from '../engines/sync/rclone/log-line.ts';
import { asDirectoryError, makeRunDirectory } from '../engines/sync/rclone/run-directory.ts';
import { openDestination } from '../engines/sync/sides/open-destination.ts';
import { openSource } from '../engines/sync/sides/open-source.ts';
import type { Side } from '../engines/sync/sides/side.ts';
import { TransferLog } from '../engines/sync/transfer-log.ts';
import type { AddressGuard } from '../net/guard.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { keySources } from './key-sources.ts';
import { platformS3Of } from './platform-s3.ts';
import { keepLimit } from './rclone-limit.ts';
import { openSourceSecret } from './source-connector.ts';
import { asKeyError, ConnectionKeeper, openDestinationSecret } from './sync-secrets.ts';

/** What a run of the sync engine needs of its context. */
export type SyncContext = Pick<RunContext<'backup'>, 'start' | 'signal' | 'keep' | 'note' | 'bandwidth' | 'emit'>;

/** What rclone alone can restore to. */
export type SyncTarget = Extract<SourceConnection, { type: 'webdav' | 'smb' }>;

export interface SyncRequest {
  readonly source?: { readonly connection: SourceConnection; readonly sealed: string | null };
  readonly destination?: {
    readonly connection: DestinationConnection;
    readonly sealed: string | null;
    /** Below the destination's root. */
    readonly prefix: string;
  };
  readonly target?: {
    readonly connection: SyncTarget;
    readonly sealed: string | null;
    readonly path: string | null;
  };
  readonly crypt: CryptSecret | null;
  /** Of the job; what the Hub allows holds beside it. */
  readonly limitBps?: number | null;
  readonly flags?: readonly string[];
}

export interface OpenedSync {
  readonly run: RcloneRun;
  readonly log: TransferLog;
  /** Of the run, in memory where the system offers it. */
  readonly directory: string;
  readonly source: Side | undefined;
  readonly destination: Side | undefined;
}

/** Opens both ends and a private rclone between them, does the work, and takes it all away again, however the work went. */
export async function withSync<T>(
  context: SyncContext,
  deps: Pick<HandlerDeps, 'config' | 'guard'>,
  request: SyncRequest,
  work: (opened: OpenedSync) => Promise<T>,
): Promise<T> {
  const { config, guard } = deps;
  const { signal } = context;
  const directory = await makeRunDirectory();
  const keeper = new ConnectionKeeper(context, config);
  for (const [name, from] of Object.entries(keySources(request, context.start))) keeper.diagnose(name, from);
  const sides: Side[] = [];
  const opened = async (side: Promise<Side>) => {
    sides.push(await side);
    return side;
  };
  const common = { guard, directory: directory.path, signal };
  const readable = async (
    { connection, sealed }: NonNullable<SyncRequest['source']>,
    localRoots: readonly string[],
  ) => {
    const secret = await openSourceSecret(connection.type, sealed, [config.XVAULT_CREDENTIALS_IDENTITY]);
    return opened(openSource(connection, secret, { ...common, localRoots, cloud: await keeper.login() }));
  };
  try {
    const source = request.source && (await readable(request.source, config.XVAULT_LOCAL_ROOTS));
    const destination = request.destination && (await opened(openPlace(request.destination, deps, common)));
    const target = request.target && (await readable(atPath(request.target), [...config.XVAULT_RESTORE_ROOTS]));
    const log = new TransferLog((words) => context.note(words));
    const options = {
      binary: config.XVAULT_RCLONE,
      directory,
      guard,
      ...(source && { source }),
      ...(destination && { destination }),
      ...(target && { target }),
      crypt: request.crypt,
      ...(request.flags && { flags: request.flags }),
      extraCaPem: config.XVAULT_EXTRA_CA,
      onLine: (line: LogLine) => log.add(line),
      signal,
    };
    const run = await openRunWithToken(options, (name, value) => keeper.diagnose(name, value));
    try {
      context.note(`rclone ${run.rclone.features.version}`);
      keeper.diagnose('rclone.version', run.rclone.features.version);
      // Not waited for: it is asked for again at the end, and waits for this one then.
      void keeper.tellDiagnostics();
      const stopLimiting = await keepLimit(context, run.rclone.rc, request.limitBps ?? null);
      try {
        return await work({ run, log, directory: directory.path, source, destination });
      } catch (error) {
        throw asDialError(error, run.dialError());
      } finally {
        stopLimiting();
      }
    } finally {
      await run.close();
      await keeper.keepLeft(() => run.tokenLeft());
    }
  } catch (error) {
    await keeper.heard(error);
    const known = asDirectoryError(error);
    throw request.source === undefined ? known : asKeyError(known, request.source.connection);
  } finally {
    await Promise.allSettled([keeper.tellDiagnostics(), ...sides.map((side) => side.close())]);
    await directory.remove();
  }
}

/** rclone only says that a server is lost; the run's proxy may know why. */
function asDialError(error: unknown, dialError: XVaultError | null): unknown {
  if (!(error instanceof XVaultError) || error.code !== 'SOURCE_LOST' || dialError === null) return error;
  return new XVaultError(dialError.code, { detail: `${error.detail}; ${dialError.detail}`, cause: error });
}

async function openPlace(
  { connection, sealed, prefix }: NonNullable<SyncRequest['destination']>,
  { config }: Pick<HandlerDeps, 'config'>,
  common: {
    readonly guard: AddressGuard;
    readonly directory: string;
    readonly signal: AbortSignal;
  },
): Promise<Side> {
  const secret = await openDestinationSecret(connection.type, sealed, config);
  const more = { storageDir: config.XVAULT_STORAGE_DIR, platformS3: platformS3Of(config) };
  return openDestination(connection, secret, prefix, { ...common, ...more });
}

/** The same source at another path. */
function atPath({ connection, sealed, path }: NonNullable<SyncRequest['target']>): NonNullable<SyncRequest['source']> {
  if (path === null) return { connection, sealed };
  const config = { ...connection.config, path: path.replace(/^\/+/, '') };
  return { connection: sourceConnection.parse({ ...connection, config }), sealed };
}
