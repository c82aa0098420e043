import { booleanWord, integerText, listText, parseConfig } from '@xvault/shared/config.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import { caPem } from '@xvault/shared/source-kinds/common.ts';
import { z } from 'zod';

const identity = z.string().regex(/^AGE-SECRET-KEY-(PQ-)?1[0-9A-Z]+$/, 'must be an age identity');
const absoluteDirectories = listText.pipe(
  z.array(z.string().startsWith('/', 'every directory must be an absolute path')),
);

/** Every setting of a worker; each secret may come from a file (`X_FILE`). */
const schema = z.object({
  XVAULT_HUB_URL: z.url(),
  XVAULT_REDIS_URL: z.string().regex(/^rediss?:\/\//, 'must be a redis:// or rediss:// URL'),
  /** Stable name of this worker; made once and kept in the data directory when absent. */
  XVAULT_WORKER_ID: idSchema.optional(),
  XVAULT_WORKER_DATA_DIR: z.string().startsWith('/').default('/var/lib/xvault/worker'),
  XVAULT_STORAGE_DIR: z.string().startsWith('/').default('/var/lib/xvault/backups'),
  XVAULT_EXPORTS_DIR: z.string().startsWith('/').default('/var/lib/xvault/exports'),
  XVAULT_POOL: idSchema.default('default'),
  /** Backups, restores and validations at once. */
  XVAULT_SLOTS: integerText.pipe(z.int().min(1).max(1024)).default(2),
  XVAULT_ENROLMENT_TOKEN: z.string().min(32),
  XVAULT_CREDENTIALS_IDENTITY: identity,
  /** Without it this worker writes backups that it cannot read. */
  XVAULT_VAULT_IDENTITY: identity.optional(),
  /** Directories that `local` sources may read. */
  XVAULT_LOCAL_ROOTS: absoluteDirectories.default([]),
  /** Directories that restores may write below. */
  XVAULT_RESTORE_ROOTS: absoluteDirectories.default([]),
  /** CIDRs of otherwise forbidden networks (loopback, private) that sources may be in. */
  XVAULT_ALLOW_NETWORKS: listText.pipe(z.array(z.union([z.cidrv4(), z.cidrv6()]))).default([]),
  /** The platform's own bucket, for destinations of type `platform_s3`; it and both keys are given together. */
  XVAULT_S3_BUCKET: z.string().min(1).optional(),
  /** AWS when absent. */
  XVAULT_S3_ENDPOINT: z.url({ protocol: /^https?$/ }).optional(),
  XVAULT_S3_REGION: z.string().min(1).default('us-east-1'),
  /** Put before every key. */
  XVAULT_S3_PREFIX: z
    .string()
    .max(512)
    .regex(/^[^/\r\n\0][^\r\n\0]*$/, 'must not begin with a slash')
    .optional(),
  XVAULT_S3_ACCESS_KEY_ID: z.string().min(1).optional(),
  XVAULT_S3_SECRET_ACCESS_KEY: z.string().min(1).optional(),
  XVAULT_S3_PATH_STYLE: booleanWord.default(true),
  XVAULT_S3_CA_PEM: z.string().optional(),
  XVAULT_S3_STORAGE_CLASS: z.string().min(1).optional(),
  XVAULT_S3_SERVER_SIDE_ENCRYPTION: z.enum(['none', 'AES256', 'aws:kms']).default('none'),
  XVAULT_S3_KMS_KEY_ID: z.string().min(1).optional(),
  /** Program that the sync engine runs. */
  XVAULT_RCLONE: z.string().min(1).default('rclone'),
  /** The platform's OAuth apps, for renewing the tokens of connections. The same as the Hub's. */
  XVAULT_GOOGLE_CLIENT_ID: z.string().min(1).optional(),
  XVAULT_GOOGLE_CLIENT_SECRET: z.string().min(1).optional(),
  XVAULT_GOOGLE_TOKEN_URL: z.url().default('https://oauth2.googleapis.com/token'),
  XVAULT_DROPBOX_CLIENT_ID: z.string().min(1).optional(),
  XVAULT_DROPBOX_CLIENT_SECRET: z.string().min(1).optional(),
  XVAULT_DROPBOX_TOKEN_URL: z.url().default('https://api.dropboxapi.com/oauth2/token'),
  /** Authorities to trust beside the usual ones, PEM; of a proxy that looks into TLS, say. */
  XVAULT_EXTRA_CA: caPem.optional(),
  /** Where export downloads are served. */
  XVAULT_WORKER_HOST: z.string().default('127.0.0.1'),
  XVAULT_WORKER_PORT: integerText.pipe(z.int().min(0).max(65535)).default(8090),
  XVAULT_WORKER_PUBLIC_URL: z.url().optional(),
  /** How long after a download link was claimed its download may be gone on with. */
  XVAULT_DOWNLOAD_RESUME_MINUTES: integerText.pipe(z.int().min(1).max(10_080)).default(120),
  /** How long SIGTERM waits for runs before it hands them back. */
  XVAULT_DRAIN_GRACE_SECONDS: integerText.default(30),
  /** How often leftovers of dead attempts and expired exports are looked for. */
  XVAULT_SWEEP_INTERVAL_SECONDS: integerText.pipe(z.int().min(1)).default(300),
  XVAULT_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace']).default('info'),
  /** Compression threads shared by all runs; 0 is one for each core. */
  XVAULT_COMPRESSION_THREADS: integerText.pipe(z.int().min(0).max(256)).default(0),
  /** Refuse to run as root. */
  XVAULT_REFUSE_ROOT: booleanWord.default(false),
});

export type WorkerConfig = z.infer<typeof schema>;

/** Throws ConfigError naming each variable that is wrong, never its value. */
export function readWorkerConfig(env: Readonly<Record<string, string | undefined>>): WorkerConfig {
  return parseConfig(schema, env);
}
