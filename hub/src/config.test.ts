import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError } from '@xvault/shared/config.ts';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from './config.ts';

let good: Record<string, string>;

beforeAll(async () => {
  const [one, two] = await Promise.all([generateKeyPair(), generateKeyPair()]);
  good = {
    XVAULT_DATABASE_URL: 'postgres://user@db.example.com/xvault',
    XVAULT_REDIS_URL: 'redis://redis.example.com',
    XVAULT_JWT_SECRET: 'j'.repeat(32),
    XVAULT_ENROLMENT_TOKEN: 'e'.repeat(32),
    XVAULT_CREDENTIALS_RECIPIENT: one.recipient,
    XVAULT_VAULT_RECIPIENT: two.recipient,
  };
});

async function messageOf(env: Record<string, string>): Promise<string> {
  const error = await loadConfig(env).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof ConfigError)) throw new Error('the configuration was taken');
  return error.message;
}

describe('the configuration', () => {
  it('has defaults for all but what is secret or somewhere else', async () => {
    expect(await loadConfig(good)).toMatchObject({
      hubHost: '127.0.0.1',
      hubPort: 8080,
      leaseMs: 90_000,
      heartbeatActiveMs: 2000,
      heartbeatIdleMs: 15_000,
      accessTokenMinutes: 60,
      exportTtlHours: 24,
      eventMaxPerRun: 5000,
      trustedProxies: [],
      logLevel: 'info',
    });
  });

  it('names every variable that is missing', async () => {
    const message = await messageOf({});
    for (const name of Object.keys(good)) expect(message).toContain(name);
  });

  it.each([
    ['XVAULT_JWT_SECRET', 'short-secret-value'],
    ['XVAULT_ENROLMENT_TOKEN', 'short-secret-value'],
    ['XVAULT_CREDENTIALS_RECIPIENT', 'age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq'],
    ['XVAULT_VAULT_RECIPIENT', 'AGE-SECRET-KEY-1QQQQQQ'],
    ['XVAULT_DATABASE_URL', 'mysql://secret-host/db'],
    ['XVAULT_DATABASE_URL', 'pglite://memory'],
    ['XVAULT_REDIS_URL', 'http://secret-host'],
    ['XVAULT_HUB_PORT', '65536'],
    ['XVAULT_HUB_PORT', '80a'],
    ['XVAULT_LEASE_MS', '-5'],
    ['XVAULT_OPERATOR_PASSWORD', 'too-short'],
    ['XVAULT_LOG_LEVEL', 'chatty'],
  ])('refuses %s when it does not fit, without repeating it', async (name, value) => {
    const message = await messageOf({ ...good, [name]: value });
    expect(message).toContain(name);
    expect(message).not.toContain(value);
  });

  it('takes a secret from a file, but not from two places', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'xvault-config-'));
    try {
      const file = join(folder, 'secret');
      writeFileSync(file, `${'f'.repeat(40)}\n`);
      const { XVAULT_JWT_SECRET: _, ...rest } = good;
      expect(await loadConfig({ ...rest, XVAULT_JWT_SECRET_FILE: file })).toMatchObject({ jwtSecret: 'f'.repeat(40) });
      expect(await messageOf({ ...good, XVAULT_JWT_SECRET_FILE: file })).toContain('not both');
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('wants the first operator whole, and leases that outlive heartbeats', async () => {
    expect(await messageOf({ ...good, XVAULT_OPERATOR_EMAIL: 'a@example.com' })).toContain('together');
    expect(await messageOf({ ...good, XVAULT_LEASE_MS: '20000' })).toContain('XVAULT_LEASE_MS');
  });
});
