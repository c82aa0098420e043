import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { randomToken } from '@xvault/shared/tokens.ts';

const names = [
  'credentials.identity',
  'credentials.recipient',
  'vault.identity',
  'vault.recipient',
  'jwt-secret',
  'enrolment-token',
  'redis-password',
  'operator-password',
] as const;
export type SecretName = (typeof names)[number];

export interface PlatformSecrets {
  /** A 0600 file that holds the secret, for the `*_FILE` settings. */
  file(name: SecretName): string;
  read(name: SecretName): Promise<string>;
}

/** Opens the secrets of a data folder; makes them all at once, or none, when there are none yet. */
export async function openSecrets(dataDir: string): Promise<PlatformSecrets> {
  const folder = join(dataDir, 'secrets');
  if (!existsSync(folder)) await makeSecrets(folder);
  const file = (name: SecretName) => join(folder, name);
  return { file, read: (name) => readFile(file(name), 'utf8') };
}

async function makeSecrets(folder: string): Promise<void> {
  const [credentials, vault] = await Promise.all([generateKeyPair(), generateKeyPair()]);
  const values: Record<SecretName, string> = {
    'credentials.identity': credentials.identity,
    'credentials.recipient': credentials.recipient,
    'vault.identity': vault.identity,
    'vault.recipient': vault.recipient,
    'jwt-secret': randomToken(),
    'enrolment-token': randomToken(),
    'redis-password': randomToken(),
    'operator-password': randomBytes(15).toString('base64url'),
  };
  const made = `${folder}.new`;
  await rm(made, { recursive: true, force: true });
  await mkdir(made, { mode: 0o700 });
  for (const name of names) await writeFile(join(made, name), values[name], { mode: 0o600, flush: true });
  await rename(made, folder);
}
