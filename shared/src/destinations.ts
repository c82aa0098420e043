import { z } from 'zod';
import { s3Place, s3Secret } from './source-kinds/s3.ts';
import { hostKeyFingerprint, sftpConfig, sftpSecret } from './source-kinds/ssh.ts';

/** A bucket of the tenant's own. */
export const s3DestinationConfig = z.strictObject({
  ...s3Place,
  storage_class: z
    .string()
    .max(64)
    .regex(/^[A-Z_]+$/)
    .nullable()
    .default(null),
  /** Encryption by the S3 server, beside xVault's own. */
  server_side_encryption: z.enum(['none', 'AES256', 'aws:kms']).default('none'),
  kms_key_id: z.string().max(2048).nullable().default(null),
});
export type S3DestinationConfig = z.infer<typeof s3DestinationConfig>;

/** A directory of a server of the tenant's own, which must be there. The server is known by its key from the beginning. */
export const sftpDestinationConfig = z.strictObject({ ...sftpConfig.shape, host_key: hostKeyFingerprint });
export type SftpDestinationConfig = z.infer<typeof sftpDestinationConfig>;

/** The public part of each kind of destination. */
export const destinationConfigs = {
  /** The disk of the worker that carries out the backup. */
  local_fs: z.strictObject({}),
  s3: s3DestinationConfig,
  /** The platform's bucket, which the workers know; each tenant and source has a prefix of its own in it. */
  platform_s3: z.strictObject({}),
  /** Of the sync engine alone. */
  sftp: sftpDestinationConfig,
} as const;

export const destinationSecrets = {
  local_fs: null,
  s3: s3Secret,
  platform_s3: null,
  sftp: sftpSecret,
} as const satisfies Record<keyof typeof destinationConfigs, z.ZodType | null>;

export const destinationConnection = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('local_fs'), config: destinationConfigs.local_fs }),
  z.strictObject({ type: z.literal('s3'), config: destinationConfigs.s3 }),
  z.strictObject({ type: z.literal('platform_s3'), config: destinationConfigs.platform_s3 }),
  z.strictObject({ type: z.literal('sftp'), config: destinationConfigs.sftp }),
]);
/** A destination without its secret. */
export type DestinationConnection = z.infer<typeof destinationConnection>;
export type DestinationType = DestinationConnection['type'];
