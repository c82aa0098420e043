import { z } from 'zod';
import { absolutePath, hostName, oneLine, password, portNumber } from './common.ts';

/** `SHA256:…` as `ssh-keygen -l` prints it. */
export const hostKeyFingerprint = z
  .string()
  .regex(/^SHA256:[A-Za-z0-9+/]{43}$/, 'must be like SHA256: and 43 characters of base64');

/** A server that is logged in to first, to reach the source's own through it. */
export const jumpHost = z.strictObject({
  host: hostName,
  port: portNumber.default(22),
  user: oneLine,
  host_key: hostKeyFingerprint,
});

export const sshEndpoint = {
  host: hostName,
  port: portNumber.default(22),
  user: oneLine,
  jump: jumpHost.nullable().default(null),
};

/** Files by SFTP alone. */
export const sftpConfig = z.strictObject({ ...sshEndpoint, path: absolutePath });
/** Files through the remote `tar` where the server has a shell and one, by SFTP where not. */
export const sshConfig = z.strictObject({ ...sshEndpoint, path: absolutePath });

const credentials = {
  password: password.optional(),
  private_key: z.string().min(1).max(65536).optional(),
  passphrase: z.string().max(4096).optional(),
};
const hasOne = (secret: { password?: string | undefined; private_key?: string | undefined }) =>
  secret.password !== undefined || secret.private_key !== undefined;

export const jumpSecret = z.strictObject(credentials).refine(hasOne, { message: 'give a password or a private key' });
export const sshSecretFields = {
  ...credentials,
  /** For the jump host; where absent, the same as for the server itself. */
  jump: jumpSecret.optional(),
};
export const sftpSecret = z
  .strictObject(sshSecretFields)
  .refine(hasOne, { message: 'give a password or a private key' });

export type JumpHost = z.infer<typeof jumpHost>;
export type SftpConfig = z.infer<typeof sftpConfig>;
export type SshConfig = z.infer<typeof sshConfig>;
export type SftpSecret = z.infer<typeof sftpSecret>;
