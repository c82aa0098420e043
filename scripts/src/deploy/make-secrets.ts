import { mkdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { randomToken } from '@xvault/shared/tokens.ts';

/** The files that docker-compose.yml mounts below /run/secrets. */
async function secretFiles(): Promise<Record<string, string>> {
  const [credentials, vault] = await Promise.all([generateKeyPair(), generateKeyPair()]);
  const [database, redis] = [randomToken(), randomToken()];
  const redisLines = [`requirepass ${redis}`, 'appendonly yes', 'save ""', 'maxmemory-policy noeviction', 'dir /data'];
  return {
    'database-password': database,
    'database-url': `postgres://xvault:${database}@postgres:5432/xvault`,
    'redis.conf': `${redisLines.join('\n')}\n`,
    'redis-password': redis,
    'redis-url': `redis://:${redis}@redis:6379`,
    'jwt-secret': randomToken(),
    'enrolment-token': randomToken(),
    'operator-password': randomToken(),
    'credentials-identity': credentials.identity,
    'credentials-recipient': credentials.recipient,
    'vault-identity': vault.identity,
    'vault-recipient': vault.recipient,
  };
}

/**
 * Makes all secrets of a deployment, or none. Throws when the folder is there already: new keys would lock every
 * existing snapshot and credential away. The folder is closed to others; the files in it are readable, because the
 * containers' users differ from the host's.
 */
export async function makeSecrets(folder: string): Promise<void> {
  if ((await stat(folder).catch(() => undefined)) !== undefined) throw new Error(`${folder} is there already`);
  const made = `${folder}.new`;
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { recursive: true, mode: 0o700 });
  for (const [name, value] of Object.entries(await secretFiles())) {
    await writeFile(join(made, name), value, { mode: 0o644, flush: true });
  }
  await rename(made, folder);
}
