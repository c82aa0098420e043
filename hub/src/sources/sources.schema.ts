import { idSchema } from '@xvault/shared/ids.ts';
import { localConfig, secretSchemas, sftpConfig } from '@xvault/shared/sources.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';

const name = z.string().trim().min(1).max(255);
/** As `ssh-keygen -l` prints it. */
const fingerprint = z.string().regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'must be like SHA256: and 43 characters of base64');

export const createSourceBody = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('local'), name, config: localConfig }),
  z.strictObject({
    type: z.literal('sftp'),
    name,
    config: sftpConfig,
    /** Sealed on arrival; no answer ever holds it. */
    secret: secretSchemas.sftp,
    /** Fingerprint of the server's key; without it the first connection test pins the one it sees. */
    host_key: fingerprint.optional(),
  }),
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
