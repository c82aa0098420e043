import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { XVaultError } from '@xvault/shared/errors.ts';
import type { CryptSecret } from '@xvault/shared/sync-options.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { systemCertificates } from './guarded/dial-origin.ts';
import { openGuardedProxy } from './guarded/proxy.ts';
import { hostAndPort, placeOf, type Role, type WebEnd } from './guarded/routes.ts';
import type { LogLine } from './rclone/log-line.ts';
import { type Rclone, startRclone } from './rclone/process.ts';
import type { RunDirectory } from './rclone/run-directory.ts';
import { type RemoteName, type RemoteOptions, renderConfig } from './remotes/config-file.ts';
import { cryptRemote } from './remotes/crypt.ts';
import type { Side } from './sides/side.ts';

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
  /** Why a server that the run's proxy dials cannot be connected to, where the last try failed. */
  dialError(): XVaultError | null;
  /** The token of `src` as rclone left it, where it may have renewed it. */
  tokenLeft(): Promise<string | null>;
  close(): Promise<void>;
}

/** Starts the run's rclone with all the remotes that it needs and a proxy that keeps it from forbidden networks. */
export async function openRcloneRun(options: RcloneRunOptions): Promise<RcloneRun> {
  const { directory, source, destination, target, signal } = options;
  const sides: [Role, Side | undefined][] = [
    ['source', source],
    ['destination', destination],
    ['target', target],
  ];
  const direct = sides.flatMap(([, side]) => {
    const web = side?.remote.web;
    return web?.kind === 'operator' ? [placeOf(new URL(web.url))] : [];
  });
  const proxy = await openGuardedProxy({
    direct,
    guard: options.guard,
    ends: sides.flatMap(([role, side]): WebEnd[] => {
      const web = side?.remote.web;
      return web?.kind === 'server' ? [{ role, server: web }] : [];
    }),
    opensTunnels: sides.some(([, side]) => side?.remote.web?.kind === 'provider'),
    extraCaPem: options.extraCaPem,
    note: (message) => options.onLine({ level: 'notice', message, object: null, isJson: true }),
  });
  const optionsOf = (role: Role, { remote: { options: given, web } }: Side): RemoteOptions => {
    const url = proxy.urls.get(role);
    return url === undefined || web?.kind !== 'server' ? given : { ...given, [web.option]: url };
  };
  const remotes: Partial<Record<RemoteName, RemoteOptions>> = {
    ...(source && { src: optionsOf('source', source) }),
    ...(target && { tgt: optionsOf('target', target) }),
    ...(destination && {
      raw: optionsOf('destination', destination),
      dst: destinationRemote(destination, options.crypt),
    }),
  };
  const renewsToken = 'token' in (source?.remote.options ?? {});
  // rclone keeps a renewed token in its config, so then that must be a file.
  const path = join(directory.path, 'rclone.conf');
  try {
    const text = renderConfig(remotes);
    if (renewsToken) await writeFile(path, text, { mode: 0o600 });
    const rclone = await startRclone({
      binary: options.binary,
      directory: directory.path,
      config: renewsToken ? { path } : { text },
      env: { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url, NO_PROXY: direct.map(hostAndPort).join(',') },
      flags: [
        ...(options.flags ?? []),
        ...transferFlags(options.flags ?? [], source),
        ...(await trustFlags([source, destination, target], options.extraCaPem, directory.path)),
      ],
      onLine: options.onLine,
      refusal: proxy.refusal,
      signal,
    });
    return {
      rclone,
      srcFs: `src:${rootOf(source)}`,
      rawFs: `raw:${rootOf(destination)}`,
      dstFs: 'dst:',
      tgtFs: `tgt:${rootOf(target)}`,
      dialError: proxy.dialError,
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

function destinationRemote(side: Side, crypt: CryptSecret | null): RemoteOptions {
  if (crypt === null) return { type: 'alias', remote: `raw:${rootOf(side)}` };
  return cryptRemote(`raw:${rootOf(side)}`, crypt).options;
}

/** A slash tells rclone that it is no object: it would else ask the bucket, and take a refusal for a yes. */
function rootOf(side: Side | undefined): string {
  if (side === undefined) return '';
  const { options, root } = side.remote;
  return options.type === 's3' ? `${root}/` : root;
}

/** rclone's own number of transfers where none is given. */
const usualTransfers = 4;

/** The last of two flags counts. */
function transferFlags(flags: readonly string[], source: Side | undefined): string[] {
  if (source?.transfersAtMost === undefined) return [];
  const given = flags.map((flag) => /^--transfers=(\d+)$/.exec(flag)?.[1]).findLast((count) => count !== undefined);
  return [`--transfers=${Math.min(Number(given ?? usualTransfers), source.transfersAtMost)}`];
}

/** rclone trusts either the system's certificates or those of one file, so the file has both. */
async function trustFlags(
  sides: readonly (Side | undefined)[],
  extraCaPem: string | undefined,
  directory: string,
): Promise<string[]> {
  // Where the proxy speaks TLS, rclone needs to trust nobody.
  const speaking = sides.filter((side) => side?.remote.web?.kind !== 'server');
  const own = [extraCaPem, ...speaking.map((side) => side?.remote.caPem)].filter((pem) => pem != null);
  if (own.length === 0) return [];
  const system = await readFile(systemCertificates, 'utf8').catch(() => '');
  const path = join(directory, 'trusted.pem');
  await writeFile(path, [system, ...own].join('\n'), { mode: 0o600 });
  return [`--ca-cert=${path}`];
}
