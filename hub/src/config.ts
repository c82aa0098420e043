import { ConfigError, integerText, listText, parseConfig } from '@xvault/shared/config.ts';
import { seal } from '@xvault/shared/sealing.ts';
import { caPem } from '@xvault/shared/source-kinds/common.ts';
import { z } from 'zod';

function integer(fallback: number, min: number, max: number) {
  return integerText.pipe(z.int().min(min).max(max)).default(fallback);
}
const secret = z.string().min(32, 'must have at least 32 characters');
const recipient = z.string().regex(/^age1[a-z0-9]+$/, 'must be an age recipient (age1…)');
const day = 86_400_000;

/** Every setting of the Hub. For each `X`, `X_FILE` may name a file that holds the value. */
const schema = z.object({
  /** Address to listen on. */
  XVAULT_HUB_HOST: z.string().min(1).default('127.0.0.1'),
  XVAULT_HUB_PORT: integer(8080, 0, 65_535),
  /** Where users reach this Hub; for documentation and links. */
  XVAULT_PUBLIC_URL: z.url({ protocol: /^https?$/ }).optional(),
  /** Addresses or ranges of the load balancers whose X-Forwarded-For is believed. */
  XVAULT_TRUSTED_PROXIES: listText.default([]),
  /** `postgres://…` or `pglite:///absolute/folder`. */
  XVAULT_DATABASE_URL: z
    .string()
    .regex(/^(postgres(ql)?:\/\/.+|pglite:\/\/\/.+)$/, 'must start with postgres:// or pglite:///'),
  XVAULT_DATABASE_POOL_SIZE: integer(10, 2, 1000),
  XVAULT_REDIS_URL: z.string().regex(/^rediss?:\/\/.+$/, 'must start with redis:// or rediss://'),
  /** Signs access tokens and download links, derives lease tokens. The same for all Hubs. */
  XVAULT_JWT_SECRET: secret,
  /** Secrets of sources are sealed to it on arrival. */
  XVAULT_CREDENTIALS_RECIPIENT: recipient,
  /** Identities of tenants are sealed to it at their making. */
  XVAULT_VAULT_RECIPIENT: recipient,
  /** With it a worker asks for a token of its own. */
  XVAULT_ENROLMENT_TOKEN: secret,
  /** First operator, made at start when there is no user of this address. */
  XVAULT_OPERATOR_EMAIL: z.email().max(254).optional(),
  XVAULT_OPERATOR_PASSWORD: z.string().min(12, 'must have at least 12 characters').max(1024).optional(),
  XVAULT_LOG_LEVEL: z.enum(['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent']).default('info'),
  XVAULT_ACCESS_TOKEN_MINUTES: integer(60, 1, 1440),
  /** Requests to the API per client address and Hub. */
  XVAULT_API_LIMIT_PER_MINUTE: integer(1200, 1, 1_000_000),
  /** Sign-ins per account and Hub; four times as many per client address. */
  XVAULT_LOGIN_LIMIT_PER_MINUTE: integer(10, 1, 1_000_000),
  /** How long a restored export may be fetched. */
  XVAULT_EXPORT_TTL_HOURS: integer(24, 1, 24 * 365),
  /** How long a request for a snapshot's files waits for its worker. */
  XVAULT_FILES_TIMEOUT_MS: integer(20_000, 100, 120_000),

  /** A worker's right to act, extended by heartbeats. */
  XVAULT_LEASE_MS: integer(90_000, 1000, day),
  /** After the end of a lease, before its run is given to another worker. */
  XVAULT_LEASE_GRACE_MS: integer(5000, 0, day),
  XVAULT_HEARTBEAT_ACTIVE_MS: integer(2000, 100, 60_000),
  XVAULT_HEARTBEAT_IDLE_MS: integer(15_000, 100, 600_000),
  XVAULT_PROGRESS_INTERVAL_MS: integer(2000, 100, 60_000),
  XVAULT_EVENT_MAX_PER_RUN: integer(5000, 10, 1_000_000),
  /** Events older than that are deleted; their runs stay. */
  XVAULT_EVENT_RETENTION_DAYS: integer(60, 1, 36_500),
  /**
   * Runs in flight at most: of the platform, in one pool of workers, of one tenant (unless it has its own limit), on one
   * server of a source, to and from one destination. Connection tests and deletions do not count.
   */
  XVAULT_GLOBAL_MAX_RUNS: integer(1000, 1, 1_000_000),
  XVAULT_POOL_MAX_RUNS: integer(1000, 1, 1_000_000),
  XVAULT_TENANT_MAX_RUNS: integer(10, 1, 1_000_000),
  XVAULT_SOURCE_HOST_MAX_RUNS: integer(4, 1, 1_000_000),
  XVAULT_DESTINATION_MAX_RUNS: integer(100, 1, 1_000_000),
  /** Bytes a second of all backups and restores together until an operator sets another limit by the API; 0 for none. */
  XVAULT_BANDWIDTH_LIMIT_BPS: integer(0, 0, Number.MAX_SAFE_INTEGER),
  /** A worker with less free disk gets no backups to its own disk. */
  XVAULT_WORKER_MIN_FREE_DISK_BYTES: integer(2 ** 30, 0, Number.MAX_SAFE_INTEGER),
  /** How often jobs that are due are looked for. */
  XVAULT_SCHEDULER_INTERVAL_MS: integer(1000, 10, 60_000),
  XVAULT_ADMISSION_INTERVAL_MS: integer(250, 10, 60_000),
  /** How often leases are looked at, and how often everything else that may have gone wrong. */
  XVAULT_LEASE_CHECK_INTERVAL_MS: integer(3000, 10, 600_000),
  XVAULT_RECONCILE_INTERVAL_MS: integer(30_000, 10, 3_600_000),
  /** A ticket that nobody has taken for so long is looked for. */
  XVAULT_DISPATCHED_TIMEOUT_MS: integer(30_000, 10, day),
  /** A worker that is silent for so long is offline. */
  XVAULT_WORKER_SILENT_MS: integer(45_000, 100, day),
  /** A run that waits so long for a worker that is offline fails. */
  XVAULT_WORKER_OFFLINE_LIMIT_MS: integer(900_000, 10, 30 * day),
  /** Wait before a further attempt: between 0 and base × 2^n, at most max. */
  XVAULT_RETRY_BASE_MS: integer(5000, 0, day),
  XVAULT_RETRY_MAX_MS: integer(300_000, 0, day),

  /** The platform's OAuth apps; without one its provider cannot be connected. */
  XVAULT_GOOGLE_CLIENT_ID: z.string().min(1).optional(),
  XVAULT_GOOGLE_CLIENT_SECRET: z.string().min(1).optional(),
  XVAULT_DROPBOX_CLIENT_ID: z.string().min(1).optional(),
  XVAULT_DROPBOX_CLIENT_SECRET: z.string().min(1).optional(),
  /** Where providers send users back to; by default `/oauth/callback` below the public URL. */
  XVAULT_OAUTH_REDIRECT_URL: z.url({ protocol: /^https?$/ }).optional(),
  XVAULT_GOOGLE_AUTH_URL: z.url().default('https://accounts.google.com/o/oauth2/v2/auth'),
  XVAULT_GOOGLE_TOKEN_URL: z.url().default('https://oauth2.googleapis.com/token'),
  XVAULT_DROPBOX_AUTH_URL: z.url().default('https://www.dropbox.com/oauth2/authorize'),
  XVAULT_DROPBOX_TOKEN_URL: z.url().default('https://api.dropboxapi.com/oauth2/token'),
  /** Authorities to trust beside the usual ones, PEM; of a proxy that looks into TLS, say. */
  XVAULT_EXTRA_CA: caPem.optional(),
});

type Camel<S extends string> = S extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<Camel<Tail>>}` : S;
type Values = z.infer<typeof schema>;
type NameOf<K extends string> = K extends `XVAULT_${infer Rest}` ? Camel<Lowercase<Rest>> : never;
/** `XVAULT_LEASE_MS` is `leaseMs` here, and so on. */
export type HubConfig = { readonly [K in keyof Values & string as NameOf<K>]: Values[K] };

/** Throws ConfigError, which names variables, never values. */
export async function loadConfig(env: Readonly<Record<string, string | undefined>>): Promise<HubConfig> {
  const values = parseConfig(schema, env);
  if ((values.XVAULT_OPERATOR_EMAIL === undefined) !== (values.XVAULT_OPERATOR_PASSWORD === undefined)) {
    throw new ConfigError('set XVAULT_OPERATOR_EMAIL and XVAULT_OPERATOR_PASSWORD together, or neither');
  }
  if (values.XVAULT_HEARTBEAT_IDLE_MS * 2 > values.XVAULT_LEASE_MS) {
    throw new ConfigError('XVAULT_LEASE_MS must be at least twice XVAULT_HEARTBEAT_IDLE_MS');
  }
  await checkRecipient('XVAULT_CREDENTIALS_RECIPIENT', values.XVAULT_CREDENTIALS_RECIPIENT);
  await checkRecipient('XVAULT_VAULT_RECIPIENT', values.XVAULT_VAULT_RECIPIENT);
  const named = Object.entries(values).map(([name, value]) => [camelName(name), value]);
  return Object.fromEntries(named) as HubConfig;
}

function camelName(name: string): string {
  return name
    .replace(/^XVAULT_/, '')
    .toLowerCase()
    .replace(/_(.)/g, (_, letter: string) => letter.toUpperCase());
}

/** Sealing something to it is the one sure proof that a recipient is usable. */
async function checkRecipient(name: string, value: string): Promise<void> {
  try {
    await seal('', value);
  } catch {
    throw new ConfigError(`${name}: must be an age recipient (age1…)`);
  }
}
