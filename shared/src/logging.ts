import { type Logger, pino } from 'pino';

export type { Logger };

/** Keys whose values never reach a log, at the top and up to three levels down. */
const secretKeys = [
  'password',
  'passphrase',
  'private_key',
  'privateKey',
  'secret',
  'secret_sealed',
  'source_secret_sealed',
  'tenant_identity_sealed',
  'identity',
  'token',
  'lease_token',
  'worker_token',
  'link_token',
  'authorization',
  'cookie',
];

export const redactPaths = secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`, `*.*.*.${key}`]);

export function createLogger(name: string, level: string): Logger {
  return pino({
    name,
    level,
    redact: { paths: redactPaths, censor: '[redacted]' },
    timestamp: pino.stdTimeFunctions.isoTime,
  });
}
