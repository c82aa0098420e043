import { XVaultError } from '@xvault/shared/errors.ts';
import type {
  FtpSecret,
  S3Secret,
  SftpSecret,
  SmbSecret,
  SourceConnection,
  WebdavSecret,
} from '@xvault/shared/sources.ts';
import { assertAllowed } from '../../../connectors/local/allowed-path.ts';
import type { AddressGuard } from '../../../net/guard.ts';
import { dialOrigin, trustOf } from '../guarded/dial-origin.ts';
import { placeOf } from '../guarded/routes.ts';
import { openTunnel } from '../guarded/tunnel.ts';
import { s3Remote } from '../remotes/s3.ts';
import { smbRemote, webdavRemote } from '../remotes/servers.ts';
import type { WebAccess } from '../remotes/web.ts';
import { type CloudLogin, openCloudSide } from './cloud-side.ts';
import { openFtpSide } from './ftp-side.ts';
import { nothingToClose, type Side, type SideContext } from './side.ts';
import { openSshSide } from './ssh-side.ts';

const dialTimeoutMs = 20_000;

export interface SourceContext extends SideContext {
  /** Directories that `local` sources may read. */
  readonly localRoots: readonly string[];
  /** How accounts at providers are signed in to. */
  readonly cloud: CloudLogin;
}

/** Makes a source reachable for rclone. `secret` has the shape that its type's schema says. Throws SOURCE_…, SSH_…, CONNECTION_…. */
export async function openSource(source: SourceConnection, secret: unknown, context: SourceContext): Promise<Side> {
  const { guard, signal } = context;
  switch (source.type) {
    case 'local': {
      await assertAllowed(source.config.path, context.localRoots);
      const remote = { options: { type: 'local' }, root: source.config.path, caPem: null, hashes: 'none' } as const;
      return { remote, listsMtimes: true, close: nothingToClose };
    }
    case 'sftp':
    case 'ssh':
      return openSshSide(source.config, source.host_key, secret as SftpSecret, context);
    case 's3': {
      const remote = s3Remote(source.config, secret as S3Secret);
      await requireReachableWeb(guard, remote.web, signal);
      return { remote, listsMtimes: false, close: nothingToClose };
    }
    case 'ftp':
      return openFtpSide(source.config, secret as FtpSecret, context);
    case 'webdav': {
      const remote = webdavRemote(source.config, secret as WebdavSecret);
      await requireReachableWeb(guard, remote.web, signal);
      return { remote, listsMtimes: true, close: nothingToClose };
    }
    case 'smb': {
      const { host, port } = source.config;
      await requireReachable(guard, host, port, signal);
      const tunnel = await openTunnel((stop) => guard.dial(host, port, { timeoutMs: dialTimeoutMs, signal: stop }));
      return {
        remote: smbRemote(source.config, secret as SmbSecret, tunnel),
        listsMtimes: true,
        close: () => tunnel.close(),
      };
    }
    case 'google_drive':
    case 'dropbox':
      return openCloudSide(source, secret, context.cloud, signal);
    default:
      throw new XVaultError('NO_CAPABLE_WORKER', { detail: `the sync engine does not read ${source.type}` });
  }
}

/** rclone tries for long before it says what a single try tells at once. Resolves to the address. */
export async function requireReachable(
  guard: AddressGuard,
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<string> {
  const socket = await guard.dial(host, port, { timeoutMs: dialTimeoutMs, signal });
  const address = socket.remoteAddress ?? host;
  socket.destroy();
  return address;
}

/** What is relayed is tried as the run's proxy will connect to it, TLS included; else whether it is there. */
export async function requireReachableWeb(
  guard: AddressGuard,
  web: WebAccess | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (web === undefined || web.url === null) return;
  const place = placeOf(new URL(web.url));
  if (web.kind !== 'server') return void (await requireReachable(guard, place.host, place.port, signal));
  const socket = await dialOrigin(guard, place, () => trustOf(web.caPem), { timeoutMs: dialTimeoutMs, signal });
  socket.destroy();
}
