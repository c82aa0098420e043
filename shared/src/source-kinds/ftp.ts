import { z } from 'zod';
import { absolutePath, caPem, hostName, oneLine, password, portNumber } from './common.ts';

export const ftpConfig = z.strictObject({
  host: hostName,
  /** 21, and 990 for implicit TLS, unless said. */
  port: portNumber.optional(),
  user: oneLine.default('anonymous'),
  path: absolutePath.refine((path) => !/[\r\n]/.test(path), 'must be one line, for FTP carries no other'),
  /** `explicit`: AUTH TLS on the plain port. `none` sends the password readable. */
  tls: z.enum(['none', 'explicit', 'implicit']).default('explicit'),
  /** False accepts any certificate. */
  tls_verify: z.boolean().default(true),
  ca_pem: caPem.nullable().default(null),
  /** Of file names where the server does not speak UTF-8. */
  encoding: z.enum(['utf-8', 'latin1']).default('utf-8'),
  connections: z.int().min(1).max(16).default(4),
});
export const ftpSecret = z.strictObject({ password });
export type FtpConfig = z.infer<typeof ftpConfig>;
export type FtpSecret = z.infer<typeof ftpSecret>;
