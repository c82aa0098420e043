import type { FtpConfig, FtpSecret } from '@xvault/shared/sources.ts';
import { pathToText } from '../../artifact/path-text.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { type Connector, isSkipped, type SourceProbe } from '../connector.ts';
import { FtpConnection } from './connection.ts';
import { connectError } from './errors.ts';
import { isBroken } from './listing.ts';
import { nameFromWire } from './names.ts';
import { FtpPool, type PoolSettings } from './pool.ts';
import { openRoot } from './root.ts';
import { ftpSession } from './session.ts';
import { defaultFtpTimeouts, type FtpTimeouts } from './settings.ts';

export interface FtpConnectorOptions {
  readonly guard: AddressGuard;
  readonly timeouts?: Partial<FtpTimeouts>;
  /** Waits before each further try after a loss. */
  readonly retryDelaysMs?: readonly number[];
}

const retryDelays = [200, 1_000, 5_000, 15_000];
const probedNames = 100;
/** A connection test counts for so long. */
const measureMs = 4_000;

export function poolSettings(options: FtpConnectorOptions, config: FtpConfig, secret: FtpSecret): PoolSettings {
  return {
    guard: options.guard,
    config,
    secret,
    timeouts: { ...defaultFtpTimeouts, ...options.timeouts },
    retryDelaysMs: options.retryDelaysMs ?? retryDelays,
  };
}

/** Sources that are read over FTP and FTPS. */
export function createFtpConnector(options: FtpConnectorOptions): Connector<FtpConfig, FtpSecret> {
  const settingsOf = (config: FtpConfig, secret: FtpSecret) => poolSettings(options, config, secret);

  return {
    async connect(config, secret, signal) {
      const settings = settingsOf(config, secret);
      const { connection } = await openAtRoot(settings, signal);
      return ftpSession(new FtpPool(settings, connection), config);
    },
    async probe(config, secret, signal): Promise<SourceProbe> {
      const settings = settingsOf(config, secret);
      const { connection, root } = await openAtRoot(settings, signal);
      const pool = new FtpPool(settings, connection);
      try {
        const { latencyMs, names } = await pool.use(signal, async (one) => {
          const askedAt = performance.now();
          await one.command('NOOP');
          const answeredAt = performance.now();
          const { items } = await one.list(root);
          return {
            latencyMs: answeredAt - askedAt,
            names: items.flatMap((item) => (isBroken(item) ? [] : [item.name])),
          };
        });
        const shown = names.map((name) => pathToText(nameFromWire(name, config.encoding))).sort();
        return {
          hostKey: null,
          server: connection.server,
          entryNames: shown.slice(0, probedNames),
          latencyMs,
          measure: await measureFor(pool, config, signal),
          details: detailsOf(connection, config),
        };
      } finally {
        pool.close();
      }
    },
  };
}

/** Throws SOURCE_… errors, or the signal's reason. */
async function openAtRoot(settings: PoolSettings, signal: AbortSignal) {
  const connection = await FtpConnection.open(settings, signal);
  const onAbort = () => connection.close();
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return { connection, root: await openRoot(connection, settings.config) };
  } catch (error) {
    connection.close();
    signal.throwIfAborted();
    throw connectError(error, 'opening the path');
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

async function measureFor(pool: FtpPool, config: FtpConfig, signal: AbortSignal) {
  const limit = AbortSignal.timeout(measureMs);
  const stop = AbortSignal.any([signal, limit]);
  let fileCount = 0;
  let totalBytes = 0;
  try {
    for await (const item of ftpSession(pool, config).list({ oneFileSystem: false, signal: stop })) {
      if (isSkipped(item) || item.type !== 'file') continue;
      fileCount += 1;
      totalBytes += item.sizeBytes;
    }
    return { fileCount, totalBytes, complete: true };
  } catch (error) {
    signal.throwIfAborted();
    if (!limit.aborted) throw error;
    return { fileCount, totalBytes, complete: false };
  }
}

function detailsOf(connection: FtpConnection, { tls }: FtpConfig): NonNullable<SourceProbe['details']> {
  return {
    tls: connection.tlsVersion ?? (tls === 'none' ? 'none' : null),
    listing: connection.listCommand === 'MLSD' ? 'MLSD' : 'LIST',
    exact_times: connection.has('MLST') || connection.has('MDTM'),
    resume: connection.has('REST'),
    sets_times: connection.has('MFMT'),
  };
}
