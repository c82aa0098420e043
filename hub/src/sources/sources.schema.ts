import { idSchema } from '@xvault/shared/ids.ts';
import { hostKeyFingerprint as fingerprint, sourceConfigs, sourceSecrets } from '@xvault/shared/sources.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';

const name = z.string().trim().min(1).max(255);
/** Fingerprint of the SSH server's key; without it the first connection test pins the one it sees. */
const host_key = fingerprint.optional();

/** `secret` is sealed on arrival; no answer ever holds it. */
export const createSourceBody = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('local'), name, config: sourceConfigs.local }),
  z.strictObject({ type: z.literal('sftp'), name, config: sourceConfigs.sftp, secret: sourceSecrets.sftp, host_key }),
  z.strictObject({ type: z.literal('ssh'), name, config: sourceConfigs.ssh, secret: sourceSecrets.ssh, host_key }),
  z.strictObject({ type: z.literal('ftp'), name, config: sourceConfigs.ftp, secret: sourceSecrets.ftp }),
  z.strictObject({ type: z.literal('s3'), name, config: sourceConfigs.s3, secret: sourceSecrets.s3 }),
  z.strictObject({
    type: z.literal('mysql'),
    name,
    config: sourceConfigs.mysql,
    secret: sourceSecrets.mysql,
    host_key,
  }),
  z.strictObject({
    type: z.literal('postgres'),
    name,
    config: sourceConfigs.postgres,
    secret: sourceSecrets.postgres,
    host_key,
  }),
  z.strictObject({
    type: z.literal('wordpress'),
    name,
    config: sourceConfigs.wordpress,
    secret: sourceSecrets.wordpress,
    host_key,
  }),
  z.strictObject({ type: z.literal('webdav'), name, config: sourceConfigs.webdav, secret: sourceSecrets.webdav }),
  z.strictObject({ type: z.literal('smb'), name, config: sourceConfigs.smb, secret: sourceSecrets.smb }),
  z.strictObject({
    type: z.literal('google_drive'),
    name,
    config: sourceConfigs.google_drive,
    secret: sourceSecrets.google_drive.default({}),
  }),
  z.strictObject({ type: z.literal('dropbox'), name, config: sourceConfigs.dropbox }),
]);
export type CreateSource = z.infer<typeof createSourceBody>;

/** `config` and `secret` replace the former ones whole and are checked by the source's type. */
export const patchSourceBody = z
  .strictObject({ name, config: z.record(z.string(), z.unknown()), secret: z.record(z.string(), z.unknown()) })
  .partial();
export type PatchSource = z.infer<typeof patchSourceBody>;

export const hostKeyBody = z.strictObject({ fingerprint });

export const sourceView = z.strictObject({
  id: idSchema,
  name: z.string(),
  type: z.string(),
  config: z.record(z.string(), z.unknown()),
  has_secret: z.boolean(),
  /** Pinned fingerprint; null until a connection test has seen it. */
  host_key: z.string().nullable(),
  /** Outcome of the last connection test. */
  last_probe: z.record(z.string(), z.unknown()).nullable(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export const sourcePage = pageOf(sourceView);
