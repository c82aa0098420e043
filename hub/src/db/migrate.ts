import type { Logger } from '@xvault/shared/logging.ts';
import { sql } from 'kysely';
import { Migrator } from 'kysely/migration';
import type { OpenDatabase } from './database.ts';
import { migrations } from './migrations/index.ts';

/** The database was written by a later version of this program. */
export class DatabaseNewerError extends Error {
  override readonly name = 'DatabaseNewerError';
}

/**
 * Brings the tables to this version. Several Hubs may ask at once: an advisory lock lets one after the other. Throws
 * {@link DatabaseNewerError} and changes nothing when the database holds migrations that this version does not know.
 */
export async function migrate({ db }: OpenDatabase, logger: Logger): Promise<void> {
  const unknown = (await appliedNames(db)).filter((name) => !(name in migrations));
  if (unknown.length > 0) {
    throw new DatabaseNewerError(`the database is newer than this version of xVault: it holds ${unknown.join(', ')}`);
  }
  const migrator = new Migrator({ db, provider: { getMigrations: async () => ({ ...migrations }) } });
  const { error, results } = await migrator.migrateToLatest();
  for (const { migrationName, status } of results ?? []) logger.info({ migration: migrationName, status }, 'migration');
  if (error !== undefined) throw error;
}

async function appliedNames(db: OpenDatabase['db']): Promise<string[]> {
  const table = await sql<{ oid: string | null }>`select to_regclass('kysely_migration')::text as oid`.execute(db);
  if (table.rows[0]?.oid == null) return [];
  const applied = await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db);
  return applied.rows.map((row) => row.name);
}
