import { XVaultError } from '@xvault/shared/errors.ts';
import type {
  FtpConfig,
  FtpSecret,
  SftpSecret,
  SmbConfig,
  SmbSecret,
  WebdavConfig,
  WebdavSecret,
} from '@xvault/shared/sources.ts';
import { obscure } from './obscure.ts';
import { joinRoot, type Remote } from './remote.ts';
import type { WebAccess } from './web.ts';

/** Where rclone connects to: the guarded way to the server, not the server itself. */
export interface Reached {
  readonly host: string;
  readonly port: number;
}

/** `knownHostsFile` holds the one key that was checked. */
export function sftpRemote(
  { user, path }: { readonly user: string; readonly path: string },
  secret: SftpSecret,
  reached: Reached,
  knownHostsFile: string,
): Remote {
  const { password, private_key, passphrase } = secret;
  return {
    options: {
      type: 'sftp',
      host: reached.host,
      port: String(reached.port),
      user,
      ...(password === undefined ? {} : { pass: obscure(password) }),
      // One line, as rclone wants it.
      ...(private_key === undefined
        ? {}
        : { key_pem: private_key.trim().replaceAll('\r', '').replaceAll('\n', '\\n') }),
      ...(passphrase === undefined ? {} : { key_file_pass: obscure(passphrase) }),
      known_hosts_file: knownHostsFile,
      // Otherwise it runs commands on the server to learn hashes.
      shell_type: 'none',
      disable_hashcheck: 'true',
      key_use_agent: 'false',
    },
    root: path,
    caPem: null,
    hashes: 'none',
  };
}

/** `reached` is a gateway, which encrypts what goes to the server. */
export function ftpRemote(config: FtpConfig, secret: FtpSecret, reached: Reached): Remote {
  return {
    options: {
      type: 'ftp',
      host: reached.host,
      port: String(reached.port),
      user: config.user,
      pass: obscure(secret.password),
      tls: 'false',
      explicit_tls: 'false',
      concurrency: String(config.connections),
    },
    root: config.path,
    caPem: null,
    hashes: 'none',
  };
}

/** Where Microsoft serves SharePoint; signing in there leads rclone to Microsoft's other servers as well. */
const sharepointHost = /\.sharepoint(-mil)?\.(com|us|cn|de)$/;

/** Throws SOURCE_ADDRESS_FORBIDDEN for what calls itself SharePoint elsewhere. */
export function webdavRemote(config: WebdavConfig, secret: WebdavSecret): Remote {
  const { password, bearer_token } = secret;
  return {
    options: {
      type: 'webdav',
      url: config.url,
      vendor: config.vendor,
      ...(config.user === null ? {} : { user: config.user }),
      ...(password === undefined ? {} : { pass: obscure(password) }),
      ...(bearer_token === undefined ? {} : { bearer_token }),
      // Newer rclones refuse Nextcloud's older address, at which nothing can be put in parts.
      ...(config.vendor === 'nextcloud' && !config.url.includes('/dav/files/') ? { nextcloud_chunk_size: '0' } : {}),
    },
    root: config.path,
    caPem: config.ca_pem,
    hashes: config.vendor === 'nextcloud' || config.vendor === 'owncloud' ? 'listed' : 'none',
    web: webdavAccess(config),
  };
}

function webdavAccess({ url, vendor, ca_pem: caPem }: WebdavConfig): WebAccess {
  if (vendor !== 'sharepoint') return { kind: 'server', url, option: 'url', label: null, signsHost: false, caPem };
  const { protocol, hostname } = new URL(url);
  if (protocol === 'https:' && sharepointHost.test(hostname)) return { kind: 'provider', url };
  throw new XVaultError('SOURCE_ADDRESS_FORBIDDEN', { detail: `${hostname} is no host of SharePoint Online` });
}

export function smbRemote(config: SmbConfig, secret: SmbSecret, reached: Reached): Remote {
  return {
    options: {
      type: 'smb',
      host: reached.host,
      port: String(reached.port),
      user: config.user,
      pass: obscure(secret.password),
      domain: config.domain,
    },
    root: joinRoot(config.share, config.path),
    caPem: null,
    hashes: 'none',
  };
}
