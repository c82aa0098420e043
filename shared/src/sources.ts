import { z } from 'zod';

const absolutePath = z
  .string()
  .min(1)
  .max(4096)
  .refine((path) => path.startsWith('/') && !path.includes('\0'), 'must be an absolute path without NUL')
  .refine((path) => !path.split('/').includes('..'), 'must not contain ".."');

export const localConfig = z.strictObject({ path: absolutePath });

export const sftpConfig = z.strictObject({
  host: z
    .string()
    .min(1)
    .max(255)
    .regex(/^[A-Za-z0-9._:-]+$/, 'must be a host name or an address'),
  port: z.int().min(1).max(65535).default(22),
  user: z
    .string()
    .min(1)
    .max(255)
    .refine((user) => !/[\0\r\n]/.test(user), 'must not contain line breaks'),
  path: absolutePath,
});

export const localSecret = z.strictObject({});
export const sftpSecret = z
  .strictObject({
    password: z.string().min(1).max(4096).optional(),
    private_key: z.string().min(1).max(65536).optional(),
    passphrase: z.string().max(4096).optional(),
  })
  .refine((secret) => secret.password !== undefined || secret.private_key !== undefined, {
    message: 'give a password or a private key',
  });

/** A source without its secret: what a run's spec carries. */
export const sourceConnection = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('local'), config: localConfig }),
  z.strictObject({
    type: z.literal('sftp'),
    config: sftpConfig,
    /** Pinned `SHA256:…` fingerprint of the host key; null until a probe has seen it. */
    host_key: z.string().nullable(),
  }),
]);
export type SourceConnection = z.infer<typeof sourceConnection>;
export type SourceType = SourceConnection['type'];
export type SftpConfig = z.infer<typeof sftpConfig>;
export type SftpSecret = z.infer<typeof sftpSecret>;

export const secretSchemas = { local: localSecret, sftp: sftpSecret } as const satisfies Record<SourceType, z.ZodType>;

/** Whether connecting needs a sealed secret. */
export const sourceNeedsSecret: Record<SourceType, boolean> = { local: false, sftp: true };

export const destinationConnection = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('local_fs'), config: z.strictObject({}) }),
]);
export type DestinationConnection = z.infer<typeof destinationConnection>;

/** True when `path` is `root` or below it, by the names alone (symlinks are the worker's matter). */
export function isWithin(root: string, path: string): boolean {
  const base = root === '/' ? '/' : `${root.replace(/\/+$/, '')}/`;
  return path === root || `${path}/`.startsWith(base);
}
export { absolutePath };
