import { z } from 'zod';
import { idSchema } from '../ids.ts';
import { caPem, hostName, oneLine, password, portNumber, serverUrl } from './common.ts';
import { parseServiceAccount } from './service-account.ts';

/** A path below the root of a share, drive or account; empty is the root itself. */
const relativePath = z
  .string()
  .max(4096)
  .refine((path) => !/[\0\r\n]/.test(path), 'must not hold NUL or line breaks')
  .refine((path) => !path.startsWith('/') && !path.split('/').includes('..'), 'must be relative, without ".."')
  .default('');

export const webdavConfig = z.strictObject({
  url: serverUrl,
  vendor: z.enum(['other', 'nextcloud', 'owncloud', 'sharepoint']).default('other'),
  user: oneLine.nullable().default(null),
  path: relativePath,
  ca_pem: caPem.nullable().default(null),
});
/** `password` with a user name, or `bearer_token`. */
export const webdavSecret = z
  .strictObject({ password: password.optional(), bearer_token: password.optional() })
  .refine((secret) => (secret.password === undefined) !== (secret.bearer_token === undefined), {
    message: 'give a password or a bearer token',
  });

export const smbConfig = z.strictObject({
  host: hostName,
  port: portNumber.default(445),
  user: oneLine,
  domain: oneLine.default('WORKGROUP'),
  share: oneLine.refine((name) => !/[/\\]/.test(name), 'must not hold slashes'),
  path: relativePath,
});
export const smbSecret = z.strictObject({ password });

const driveId = z
  .string()
  .min(1)
  .max(255)
  .regex(/^[A-Za-z0-9_-]+$/, 'must be an id of Google Drive');

export const googleDriveConfig = z.strictObject({
  /** The OAuth connection to act by; null where a service account does. */
  connection_id: idSchema.nullable().default(null),
  root_folder_id: driveId.nullable().default(null),
  /** A shared drive; null is the drive of the account itself. */
  team_drive: driveId.nullable().default(null),
  path: relativePath,
});
/** Only where a service account acts. */
export const googleDriveSecret = z.strictObject({
  service_account_json: z
    .string()
    .max(65_536)
    .refine((text) => parseServiceAccount(text) !== null, 'must be the JSON key of a service account')
    .optional(),
});

export const dropboxConfig = z.strictObject({ connection_id: idSchema, path: relativePath });

export type WebdavConfig = z.infer<typeof webdavConfig>;
export type WebdavSecret = z.infer<typeof webdavSecret>;
export type SmbConfig = z.infer<typeof smbConfig>;
export type SmbSecret = z.infer<typeof smbSecret>;
export type GoogleDriveConfig = z.infer<typeof googleDriveConfig>;
export type GoogleDriveSecret = z.infer<typeof googleDriveSecret>;
export type DropboxConfig = z.infer<typeof dropboxConfig>;
