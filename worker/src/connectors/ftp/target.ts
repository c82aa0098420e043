import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FtpConfig, FtpSecret } from '@xvault/shared/sources.ts';
import type { SourceEntry } from '../connector.ts';
import { type TargetConnector, TargetItemError, type TargetOptions, type TargetSession } from '../target.ts';
import { FtpConnection } from './connection.ts';
import { type FtpConnectorOptions, poolSettings } from './connector.ts';
import { connectError, isRefusal } from './errors.ts';
import { joinPath, nameToWire } from './names.ts';
import { FtpPool } from './pool.ts';
import { TargetDirectories } from './target-directories.ts';
import { itemErrors } from './target-errors.ts';

/** Restores over FTP and FTPS: no links, no owners; modes and times where the server has commands for them. */
export function createFtpTarget(options: FtpConnectorOptions): TargetConnector<FtpConfig, FtpSecret> {
  return {
    async connectTarget(config, secret, rootPath, signal, { tag }: TargetOptions = { tag: 'restore' }) {
      const settings = poolSettings(options, config, secret);
      const connection = await FtpConnection.open(settings, signal);
      try {
        const setsModes = await knowsChmod(connection);
        const pool = new FtpPool(settings, connection);
        const root = Buffer.from(rootPath);
        return ftpTarget({ pool, config, root, tag, setsModes, setsTimes: connection.has('MFMT') });
      } catch (error) {
        connection.close();
        signal.throwIfAborted();
        throw connectError(error, 'asking for what the server can do');
      }
    },
  };
}

async function knowsChmod(connection: FtpConnection): Promise<boolean> {
  try {
    return /\bCHMOD\b/i.test((await connection.command('SITE HELP')).message);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  }
}

interface Target {
  readonly pool: FtpPool;
  readonly config: FtpConfig;
  readonly root: Buffer;
  readonly tag: string;
  readonly setsModes: boolean;
  readonly setsTimes: boolean;
}

function ftpTarget(target: Target): TargetSession {
  const { pool, config, root, tag, setsModes, setsTimes } = target;
  const wireOf = (path: Buffer): string => {
    const wire = nameToWire(joinPath(root, path), config.encoding);
    if (wire === undefined) throw new TargetItemError('FTP cannot carry this name');
    return wire;
  };
  const stop = new AbortController();
  const directories = new TargetDirectories({ pool, root, encoding: config.encoding, wireOf, signal: stop.signal });

  /** What the server refuses of this is done without: there is no saying beforehand for which files it does. */
  async function keepFacts(connection: FtpConnection, wire: string, entry: SourceEntry): Promise<void> {
    const commands = [
      ...(setsModes ? [`SITE CHMOD ${(entry.mode & 0o777).toString(8)} ${wire}`] : []),
      ...(setsTimes ? [`MFMT ${ftpTime(entry.mtimeNs)} ${wire}`] : []),
    ];
    for (const command of commands) await connection.command(command).catch(ignoreRefusal);
  }

  return {
    abilities: { symlinks: false, modes: setsModes, mtimes: setsTimes },
    writesInFlight: pool.width,
    stat: (path) => directories.stat(path),
    makeDirectory: (path) => directories.make(path),
    async writeFile(entry, content, signal) {
      await directories.requireParents(entry.path);
      const wire = wireOf(entry.path);
      const temporary = wireOf(temporaryName(entry.path, tag));
      const source = new Content(content, signal);
      await itemErrors(async () => {
        await pool.use(signal, async (connection) => {
          await connection.write(temporary, source.stream);
          const stored = await connection.size(temporary);
          if (stored !== null && stored !== source.bytes) {
            throw new XVaultError('SOURCE_LOST', { detail: `${source.bytes} bytes were sent, ${stored} are there` });
          }
          await keepFacts(connection, temporary, entry);
          await moveInto(connection, temporary, wire);
        });
      }).catch(async (error: unknown) => {
        await removeQuietly(pool, temporary);
        throw source.failure ?? error;
      });
      directories.written(entry.path, source.bytes);
    },
    async makeSymlink() {
      throw new TargetItemError('FTP has no symbolic links');
    },
    async finishDirectory(entry) {
      await itemErrors(() => pool.retrying(stop.signal, (one) => keepFacts(one, wireOf(entry.path), entry)));
    },
    async close() {
      stop.abort(new XVaultError('SOURCE_LOST', { detail: 'the session was closed' }));
      pool.close();
    },
  };
}

/** The content as a stream; what goes wrong on its side is told apart from what goes wrong on the server's. */
class Content {
  readonly stream: Readable;
  bytes = 0;
  failure: unknown;

  constructor(content: AsyncIterable<Buffer>, signal: AbortSignal) {
    this.stream = Readable.from(this.#counted(content, signal), { objectMode: false });
  }

  async *#counted(content: AsyncIterable<Buffer>, signal: AbortSignal): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of content) {
        signal.throwIfAborted();
        this.bytes += chunk.length;
        // The stream reads ahead, and a chunk is the consumer's only until the next one is asked for.
        yield Buffer.from(chunk);
      }
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }
}

/** Servers that do not replace want the old file gone first. */
async function moveInto(connection: FtpConnection, from: string, to: string): Promise<void> {
  const move = async () => {
    await connection.command(`RNFR ${from}`);
    await connection.command(`RNTO ${to}`);
  };
  try {
    await move();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    await connection.command(`DELE ${to}`).catch(() => {
      throw error;
    });
    await move();
  }
}

async function removeQuietly(pool: FtpPool, wire: string): Promise<void> {
  const limit = AbortSignal.timeout(10_000);
  // A later attempt of the run writes over it.
  await Promise.allSettled([pool.use(limit, (connection) => connection.command(`DELE ${wire}`))]);
}

function ignoreRefusal(error: unknown): void {
  if (!isRefusal(error)) throw error;
}

function temporaryName(path: Buffer, tag: string): Buffer {
  const name = `.xvault-${tag}-${createHash('sha256').update(path).digest('hex').slice(0, 16)}`;
  const cut = path.lastIndexOf(0x2f);
  return cut === -1 ? Buffer.from(name) : Buffer.concat([path.subarray(0, cut + 1), Buffer.from(name)]);
}

function ftpTime(mtimeNs: bigint): string {
  return new Date(Number(mtimeNs / 1_000_000n))
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/[-:T]/g, '');
}
