import { browseRequest } from '@xvault/shared/browse.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import {
  hostKeyFingerprint as fingerprint,
  type S3SourceConfig,
  type SmbConfig,
  sourceConfigs,
  sourceSecrets,
} from '@xvault/shared/sources.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';

const name = z.string().trim().min(1).max(255);
/** Fingerprint of the SSH server's key; without it the first connection test pins the one it sees. */
const host_key = fingerprint.optional();

interface Roots {
  readonly s3: z.ZodType<S3SourceConfig>;
  readonly smb: z.ZodType<SmbConfig>;
}

/** One shape for each kind of source, with fields beside. `secret` is sealed on arrival; no answer ever holds it. */
function ofEachKind<More extends z.ZodRawShape>(more: More, { s3, smb }: Roots = sourceConfigs) {
  const { local, sftp, ssh, ftp, mysql, postgres, wordpress, webdav, google_drive, dropbox } = sourceConfigs;
  const secrets = sourceSecrets;
  return z.discriminatedUnion('type', [
    z.strictObject({ type: z.literal('local'), ...more, config: local }),
    z.strictObject({ type: z.literal('sftp'), ...more, config: sftp, secret: secrets.sftp, host_key }),
    z.strictObject({ type: z.literal('ssh'), ...more, config: ssh, secret: secrets.ssh, host_key }),
    z.strictObject({ type: z.literal('ftp'), ...more, config: ftp, secret: secrets.ftp }),
    z.strictObject({ type: z.literal('s3'), ...more, config: s3, secret: secrets.s3 }),
    z.strictObject({ type: z.literal('mysql'), ...more, config: mysql, secret: secrets.mysql, host_key }),
    z.strictObject({ type: z.literal('postgres'), ...more, config: postgres, secret: secrets.postgres, host_key }),
    z.strictObject({ type: z.literal('wordpress'), ...more, config: wordpress, secret: secrets.wordpress, host_key }),
    z.strictObject({ type: z.literal('webdav'), ...more, config: webdav, secret: secrets.webdav }),
    z.strictObject({ type: z.literal('smb'), ...more, config: smb, secret: secrets.smb }),
    z.strictObject({
      type: z.literal('google_drive'),
      ...more,
      config: google_drive,
      secret: secrets.google_drive.default({}),
    }),
    z.strictObject({ type: z.literal('dropbox'), ...more, config: dropbox }),
  ]);
}

export const createSourceBody = ofEachKind({ name });
export type CreateSource = z.infer<typeof createSourceBody>;

/** A source that is tried before it is saved, as for saving it but without a name. */
export const unsavedSource = ofEachKind({});
export type UnsavedSource = z.infer<typeof unsavedSource>;
/** Stands where a bucket or a share is still to be chosen. */
export const unchosen = 'to-be-chosen';
export const browseUnsavedBody = ofEachKind(browseRequest.shape, {
  s3: sourceConfigs.s3.extend({ bucket: sourceConfigs.s3.shape.bucket.default(unchosen) }),
  smb: sourceConfigs.smb.extend({ share: sourceConfigs.smb.shape.share.default(unchosen) }),
});
export type BrowseUnsaved = z.infer<typeof browseUnsavedBody>;

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
