import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { PGlite } from '@electric-sql/pglite';
import { unseal } from '@xvault/shared/sealing.ts';
import { findProgram } from '@xvault/shared/testing/find-program.ts';

const run = promisify(execFile);

/** Those of the standard tools that are not on this machine. */
export function missingTools(): string[] {
  return ['age', 'zstd', 'tar', 'bash'].filter((name) => findProgram([name]) === undefined);
}

/**
 * The tenant's identity, as an operator takes it out of a platform that is down: the sealed form is read from the
 * database's folder and opened by the vault identity that the operator keeps.
 */
export async function takeOutIdentity(
  databaseDir: string,
  tenantId: string,
  vaultIdentityFile: string,
): Promise<string> {
  const database = await PGlite.create(databaseDir);
  try {
    const sql = 'select identity_sealed from tenants where id = $1';
    const { rows } = await database.query<{ identity_sealed: string | null }>(sql, [tenantId]);
    const sealed = rows[0]?.identity_sealed;
    if (sealed === undefined || sealed === null) throw new Error('the database holds no identity of this tenant');
    return await unseal(sealed, [(await readFile(vaultIdentityFile, 'utf8')).trim()]);
  } finally {
    await database.close();
  }
}

export interface OpenedArtifact {
  /** What was typed, in effect. */
  readonly command: string;
  readonly folder: string;
}

/** Opens an artifact by `age`, `zstd` and `tar` alone, below `workDir`. */
export async function openArtifact(artifact: string, identity: string, workDir: string): Promise<OpenedArtifact> {
  const folder = join(workDir, 'opened');
  const identityFile = join(workDir, 'identity.txt');
  await mkdir(folder, { mode: 0o700 });
  await writeFile(identityFile, `${identity}\n`, { mode: 0o600 });
  const script = 'age -d -i "$1" "$2" | zstd -dc | tar -xp -C "$3"';
  await run('bash', ['-o', 'pipefail', '-c', script, 'bash', identityFile, artifact, folder]);
  return { command: 'age -d -i identity.txt backup.tar.zst.enc | zstd -dc | tar -xp -C opened', folder };
}
