import { generateKeyPair, type KeyPair } from '@xvault/shared/sealing.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { type HubConfig, loadConfig } from '../config.ts';

export interface TestConfig {
  readonly config: HubConfig;
  /** What workers would hold. */
  readonly credentials: KeyPair;
  readonly vault: KeyPair;
}

/** The Hub's own defaults, with fresh keys; requests are practically not limited. */
export async function testConfig(
  urls: { databaseUrl: string; redisUrl: string },
  overrides: Partial<HubConfig> = {},
): Promise<TestConfig> {
  const [credentials, vault] = await Promise.all([generateKeyPair(), generateKeyPair()]);
  const config = await loadConfig({
    XVAULT_DATABASE_URL: urls.databaseUrl,
    XVAULT_REDIS_URL: urls.redisUrl,
    XVAULT_JWT_SECRET: randomToken(),
    XVAULT_ENROLMENT_TOKEN: randomToken(),
    XVAULT_CREDENTIALS_RECIPIENT: credentials.recipient,
    XVAULT_VAULT_RECIPIENT: vault.recipient,
    XVAULT_API_LIMIT_PER_MINUTE: '1000000',
    XVAULT_LOGIN_LIMIT_PER_MINUTE: '1000000',
  });
  return { config: { ...config, ...overrides }, credentials, vault };
}
