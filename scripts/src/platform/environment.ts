import type { PlatformSecrets } from './secrets.ts';

export interface Places {
  readonly dataDir: string;
  readonly databaseUrl: string;
  /** A 0600 file, because the URL holds a password. */
  readonly redisUrlFile: string;
  readonly hubPort: number;
  readonly workerPort: number;
  readonly logLevel: string;
  readonly localRoots: readonly string[];
  readonly restoreRoots: readonly string[];
  readonly allowNetworks: readonly string[];
  readonly slots: number;
  /** Settings that one start needs and no other: tuned intervals, limits. */
  readonly extraHub: Readonly<Record<string, string>>;
  readonly extraWorker: Readonly<Record<string, string>>;
}

export const operatorEmail = 'operator@xvault.localhost';

/** Children get these of our own variables and no others. */
export function baseEnvironment(own: NodeJS.ProcessEnv): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TMPDIR', 'TZ', 'LANG', 'LC_ALL'];
  return Object.fromEntries(kept.flatMap((name) => (own[name] === undefined ? [] : [[name, own[name]]])));
}

export async function hubEnvironment(places: Places, secrets: PlatformSecrets): Promise<Record<string, string>> {
  return {
    XVAULT_HUB_HOST: '127.0.0.1',
    XVAULT_HUB_PORT: String(places.hubPort),
    XVAULT_PUBLIC_URL: `http://127.0.0.1:${places.hubPort}`,
    XVAULT_DATABASE_URL: places.databaseUrl,
    XVAULT_REDIS_URL_FILE: places.redisUrlFile,
    XVAULT_JWT_SECRET_FILE: secrets.file('jwt-secret'),
    XVAULT_CREDENTIALS_RECIPIENT: await secrets.read('credentials.recipient'),
    XVAULT_VAULT_RECIPIENT: await secrets.read('vault.recipient'),
    XVAULT_ENROLMENT_TOKEN_FILE: secrets.file('enrolment-token'),
    XVAULT_OPERATOR_EMAIL: operatorEmail,
    XVAULT_OPERATOR_PASSWORD_FILE: secrets.file('operator-password'),
    XVAULT_LOG_LEVEL: places.logLevel,
    ...places.extraHub,
  };
}

export function workerEnvironment(places: Places, secrets: PlatformSecrets): Record<string, string> {
  return {
    XVAULT_HUB_URL: `http://127.0.0.1:${places.hubPort}`,
    XVAULT_REDIS_URL_FILE: places.redisUrlFile,
    XVAULT_WORKER_DATA_DIR: `${places.dataDir}/worker`,
    XVAULT_STORAGE_DIR: `${places.dataDir}/backups`,
    XVAULT_EXPORTS_DIR: `${places.dataDir}/exports`,
    XVAULT_SLOTS: String(places.slots),
    XVAULT_ENROLMENT_TOKEN_FILE: secrets.file('enrolment-token'),
    XVAULT_CREDENTIALS_IDENTITY_FILE: secrets.file('credentials.identity'),
    XVAULT_VAULT_IDENTITY_FILE: secrets.file('vault.identity'),
    XVAULT_LOCAL_ROOTS: places.localRoots.join(','),
    XVAULT_RESTORE_ROOTS: places.restoreRoots.join(','),
    XVAULT_ALLOW_NETWORKS: places.allowNetworks.join(','),
    XVAULT_WORKER_HOST: '127.0.0.1',
    XVAULT_WORKER_PORT: String(places.workerPort),
    XVAULT_WORKER_PUBLIC_URL: `http://127.0.0.1:${places.workerPort}`,
    XVAULT_DRAIN_GRACE_SECONDS: '5',
    XVAULT_LOG_LEVEL: places.logLevel,
    ...places.extraWorker,
  };
}

/** Lists travel in one variable, separated by commas. Throws for a path that such a list cannot hold. */
export function checkListed(paths: readonly string[]): void {
  const bad = paths.find((path) => path.includes(',') || path !== path.trim());
  if (bad !== undefined) throw new Error(`this path holds a comma or outer blanks and cannot be used here: ${bad}`);
}
