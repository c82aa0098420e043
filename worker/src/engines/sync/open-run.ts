import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CryptSecret } from '@xvault/shared/sync-options.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { openGuardedProxy } from './guarded/proxy.ts';
import type { LogLine } from './rclone/log-line.ts';
import { type Rclone, startRclone } from './rclone/process.ts';
import type { RunDirectory } from './rclone/run-directory.ts';
import { type RemoteName, type RemoteOptions, renderConfig } from './remotes/config-file.ts';
import { cryptRemote } from './remotes/crypt.ts';
import type { Side } from './sides/side.ts';

/** Where Debian keeps the certificates that the system trusts. */
const systemCertificates = '/etc/ssl/certs/ca-certificates.crt';

export interface RcloneRunOptions {
  readonly binary: string;
  readonly directory: RunDirectory;
  readonly guard: AddressGuard;
  /** What is read, by the name `src`; absent where only versions are. */
  readonly source?: Side;
  /** What holds the versions: `raw` as it is stored, `dst` as it reads with the job's key. */
  readonly destination?: Side;
  /** What is restored to, by the name `tgt`. */
  readonly target?: Side;
  /** Null where the job does not encrypt. */
  readonly crypt: CryptSecret | null;
  readonly flags?: readonly string[];
  /** Authorities that the operator trusts beside the system's, PEM. */
  readonly extraCaPem?: string | undefined;
  readonly onLine: (line: LogLine) => void;
  readonly signal: AbortSignal;
}

export interface RcloneRun {
  readonly rclone: Rclone;
  readonly srcFs: string;
  readonly rawFs: string;
  /** Names are put right behind it. */
  readonly dstFs: string;
  readonly tgtFs: string;
  /** The token of `src` as rclone left it, where it may have renewed it. */
  tokenLeft(): Promise<string | null>;
  close(): Promise<void>;
}

/** Starts the run's rclone with all the remotes that it needs and a proxy that keeps it from forbidden networks. */
export async function openRcloneRun(options: RcloneRunOptions): Promise<RcloneRun> {
  const { directory, source, destination, target, signal } = options;
  const remotes: Partial<Record<RemoteName, RemoteOptions>> = {
    ...(source && { src: source.remote.options }),
    ...(target && { tgt: target.remote.options }),
    ...(destination && { raw: destination.remote.options, dst: destinationRemote(destination, options.crypt) }),
  };
  const text = renderConfig(remotes);
  const renewsToken = 'token' in (source?.remote.options ?? {});
  // rclone keeps a renewed token in its config, so then that must be a file.
  const path = join(directory.path, 'rclone.conf');
  if (renewsToken) await writeFile(path, text, { mode: 0o600 });
  const proxy = await openGuardedProxy(options.guard);
  try {
    const rclone = await startRclone({
      binary: options.binary,
      directory: directory.path,
      config: renewsToken ? { path } : { text },
      env: { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: '' },
      flags: [
        ...(options.flags ?? []),
        ...(await trustFlags([source, destination, target], options.extraCaPem, directory.path)),
      ],
      onLine: options.onLine,
      signal,
    });
    return {
      rclone,
      srcFs: `src:${source?.remote.root ?? ''}`,
      rawFs: `raw:${destination?.remote.root ?? ''}`,
      dstFs: 'dst:',
      tgtFs: `tgt:${target?.remote.root ?? ''}`,
      async tokenLeft() {
        if (!renewsToken) return null;
        return /^\[src\]$[^[]*?^token = (.*)$/m.exec(await readFile(path, 'utf8'))?.[1] ?? null;
      },
      async close() {
        await rclone.close();
        await proxy.close();
      },
    };
  } catch (error) {
    await proxy.close();
    throw error;
  }
}

function destinationRemote({ remote }: Side, crypt: CryptSecret | null): RemoteOptions {
  if (crypt === null) return { type: 'alias', remote: `raw:${remote.root}` };
  return cryptRemote(remote, '', crypt).options;
}

/** rclone trusts either the system's certificates or those of one file, so the file has both. */
async function trustFlags(
  sides: readonly (Side | undefined)[],
  extraCaPem: string | undefined,
  directory: string,
): Promise<string[]> {
  const own = [extraCaPem, ...sides.map((side) => side?.remote.caPem)].filter((pem) => pem != null);
  if (own.length === 0) return [];
  const system = await readFile(systemCertificates, 'utf8').catch(() => '');
  const path = join(directory, 'trusted.pem');
  await writeFile(path, [system, ...own].join('\n'), { mode: 0o600 });
  return [`--ca-cert=${path}`];
}
