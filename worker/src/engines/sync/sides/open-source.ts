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
import { openTunnel } from '../guarded/tunnel.ts';
import { s3Remote } from '../remotes/s3.ts';
import { ftpRemote, smbRemote, webdavRemote } from '../remotes/servers.ts';
import { type CloudLogin, openCloudSide } from './cloud-side.ts';
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
      await requireReachableUrl(guard, source.config.endpoint, signal);
      return { remote: s3Remote(source.config, secret as S3Secret), listsMtimes: false, close: nothingToClose };
    }
    case 'ftp': {
      const { host, tls } = source.config;
      const port = source.config.port ?? (tls === 'implicit' ? 990 : 21);
      const address = await requireReachable(guard, host, port, signal);
      // A certificate is of the name; without one the address that was checked is safer than a name that may move.
      const reached = { host: tls === 'none' ? address : host, port };
      const remote = ftpRemote(source.config, secret as FtpSecret, reached);
      return { remote, listsMtimes: true, close: nothingToClose };
    }
    case 'webdav': {
      await requireReachableUrl(guard, source.config.url, signal);
      return { remote: webdavRemote(source.config, secret as WebdavSecret), listsMtimes: true, close: nothingToClose };
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

export async function requireReachableUrl(
  guard: AddressGuard,
  text: string | null,
  signal: AbortSignal,
): Promise<void> {
  if (text === null) return;
  const url = new URL(text);
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80));
  await requireReachable(guard, url.hostname.replace(/^\[|\]$/g, ''), port, signal);
}
