import { z } from 'zod';
import {
  dropboxConfig,
  googleDriveConfig,
  googleDriveSecret,
  smbConfig,
  smbSecret,
  webdavConfig,
  webdavSecret,
} from './source-kinds/cloud.ts';
import { absolutePath } from './source-kinds/common.ts';
import { databaseSecret, mysqlConfig, postgresConfig } from './source-kinds/database.ts';
import { ftpConfig, ftpSecret } from './source-kinds/ftp.ts';
import { s3Secret, s3SourceConfig } from './source-kinds/s3.ts';
import { sftpConfig, sftpSecret, sshConfig } from './source-kinds/ssh.ts';
import { wordpressConfig, wordpressSecret } from './source-kinds/wordpress.ts';

export type {
  DropboxConfig,
  GoogleDriveConfig,
  GoogleDriveSecret,
  SmbConfig,
  SmbSecret,
  WebdavConfig,
  WebdavSecret,
} from './source-kinds/cloud.ts';
export type { DatabaseSecret, MysqlConfig, PostgresConfig } from './source-kinds/database.ts';
export type { FtpConfig, FtpSecret } from './source-kinds/ftp.ts';
export type { S3Secret, S3SourceConfig } from './source-kinds/s3.ts';
export type { JumpHost, SftpConfig, SftpSecret, SshConfig } from './source-kinds/ssh.ts';
export { hostKeyFingerprint, sftpSecret } from './source-kinds/ssh.ts';
export type { WordpressConfig } from './source-kinds/wordpress.ts';
export { absolutePath };

export const localConfig = z.strictObject({ path: absolutePath });

/** The public part of each kind of source. */
export const sourceConfigs = {
  local: localConfig,
  sftp: sftpConfig,
  ssh: sshConfig,
  ftp: ftpConfig,
  s3: s3SourceConfig,
  mysql: mysqlConfig,
  postgres: postgresConfig,
  wordpress: wordpressConfig,
  webdav: webdavConfig,
  smb: smbConfig,
  google_drive: googleDriveConfig,
  dropbox: dropboxConfig,
} as const;

/** What is sealed on arrival; null where there is nothing to seal. */
export const sourceSecrets = {
  local: null,
  sftp: sftpSecret,
  ssh: sftpSecret,
  ftp: ftpSecret,
  s3: s3Secret,
  mysql: databaseSecret,
  postgres: databaseSecret,
  wordpress: wordpressSecret,
  webdav: webdavSecret,
  smb: smbSecret,
  google_drive: googleDriveSecret,
  /** Acts by its connection. */
  dropbox: null,
} as const satisfies Record<keyof typeof sourceConfigs, z.ZodType | null>;

/** Pinned `SHA256:…` fingerprint of the SSH host key; null until a probe has seen it. */
const host_key = z.string().nullable();

/** A source without its secret: what a run's spec carries. */
export const sourceConnection = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('local'), config: localConfig }),
  z.strictObject({ type: z.literal('sftp'), config: sftpConfig, host_key }),
  z.strictObject({ type: z.literal('ssh'), config: sshConfig, host_key }),
  z.strictObject({ type: z.literal('ftp'), config: ftpConfig }),
  z.strictObject({ type: z.literal('s3'), config: s3SourceConfig }),
  z.strictObject({ type: z.literal('mysql'), config: mysqlConfig, host_key }),
  z.strictObject({ type: z.literal('postgres'), config: postgresConfig, host_key }),
  z.strictObject({ type: z.literal('wordpress'), config: wordpressConfig, host_key }),
  z.strictObject({ type: z.literal('webdav'), config: webdavConfig }),
  z.strictObject({ type: z.literal('smb'), config: smbConfig }),
  z.strictObject({ type: z.literal('google_drive'), config: googleDriveConfig }),
  z.strictObject({ type: z.literal('dropbox'), config: dropboxConfig }),
]);
export type SourceConnection = z.infer<typeof sourceConnection>;
export type SourceType = SourceConnection['type'];
export type SourceOf<T extends SourceType> = Extract<SourceConnection, { type: T }>;
export const sourceTypes = Object.keys(sourceConfigs) as [SourceType, ...SourceType[]];

/** Kinds that are reached over SSH, or may be, and so pin a host key. */
export const pinsHostKey: Record<SourceType, boolean> = {
  local: false,
  sftp: true,
  ssh: true,
  ftp: false,
  s3: false,
  mysql: true,
  postgres: true,
  wordpress: true,
  webdav: false,
  smb: false,
  google_drive: false,
  dropbox: false,
};

const connectionHost = 'connection:';

/** Whether runs are counted by an OAuth connection: its token is renewed by one run at a time, so no two go at once. */
export function goesAlone(host: string): boolean {
  return host.startsWith(connectionHost);
}

/** `host:port`, or the connection, by which runs on one server are counted; null when no server is reached. */
export function sourceHost(source: SourceConnection): string | null {
  switch (source.type) {
    case 'local':
      return null;
    case 's3':
      return source.config.endpoint === null ? `aws:${source.config.region}` : new URL(source.config.endpoint).host;
    case 'webdav':
      return new URL(source.config.url).host;
    case 'google_drive':
      return source.config.connection_id === null ? source.type : `${connectionHost}${source.config.connection_id}`;
    case 'dropbox':
      return `${connectionHost}${source.config.connection_id}`;
    case 'ftp': {
      const port = source.config.port ?? (source.config.tls === 'implicit' ? 990 : 21);
      return `${source.config.host.toLowerCase()}:${port}`;
    }
    case 'mysql':
    case 'postgres': {
      const { host, port } = source.config.ssh ?? source.config;
      return `${host.toLowerCase()}:${port}`;
    }
    default:
      return `${source.config.host.toLowerCase()}:${source.config.port}`;
  }
}

/** True when `path` is `root` or below it, by the names alone (symlinks are the worker's matter). */
export function isWithin(root: string, path: string): boolean {
  const base = root === '/' ? '/' : `${root.replace(/\/+$/, '')}/`;
  return path === root || `${path}/`.startsWith(base);
}
