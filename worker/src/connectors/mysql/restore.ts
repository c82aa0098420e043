import { asXVaultError, XVaultError } from '@xvault/shared/errors.ts';
import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { DatabaseRestore, DatabaseState, DatabaseTarget } from '../../engines/database/target.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { feedTool } from '../database/feed-tool.ts';
import type { FoundTool } from '../database/tool-host.ts';
import { clientNames } from './dump.ts';
import { toolError } from './errors.ts';
import { flavorOf } from './option-file.ts';
import { type MysqlReach, type MysqlTarget, reachMysql } from './reach.ts';
import { renameDatabase } from './rename-database.ts';
import { type Sql, sqlName, sqlText } from './sql.ts';

/** In a database while its restore goes on: an attempt after a crash knows by it what it may remove. */
const marker = 'xvault_restore_in_progress';
const cleanUpMs = 60_000;
/** `binary-mode` also takes the client's own commands away: a dump cannot make it run a program or read a file. */
const flags = [
  '--binary-mode',
  '--local-infile=0',
  '--batch',
  '--default-character-set=utf8mb4',
  '--max-allowed-packet=1G',
];

/** A MySQL or MariaDB server that databases are restored to. `runId`: attempts of the same run know each other by it. */
export async function openMysqlTarget(
  guard: AddressGuard,
  config: MysqlTarget,
  secret: DatabaseSecret,
  runId: string,
  signal: AbortSignal,
): Promise<DatabaseTarget> {
  const reach = await reachMysql(guard, config, secret, false, signal);
  try {
    const client = await reach.host.find(clientNames, signal);
    return {
      takes: ({ engine }) => engine !== 'postgres',
      state: (name) => reach.withSql((sql) => stateOf(sql, name, runId)),
      async restore(restore) {
        const made = await reach.withSql((sql) => prepare(sql, restore, runId));
        try {
          await load(reach, client, restore);
          const unmark = `DROP TABLE IF EXISTS ${sqlName(restore.name)}.${sqlName(marker)}`;
          await reach.withSql((sql) => sql.rows(unmark));
          return { note: null };
        } catch (error) {
          throw await cleaned(reach, restore.name, made, error);
        }
      },
      close: () => reach.close(),
    };
  } catch (error) {
    await reach.close();
    throw error;
  }
}

async function stateOf(sql: Sql, name: string, runId: string): Promise<DatabaseState> {
  const text = sqlText(name);
  const exact = await sql.rows(`SELECT schema_name FROM information_schema.schemata WHERE schema_name = ${text}`);
  if (exact.length === 0) return 'absent';
  const counted = await sql.rows(
    `SELECT (SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ${text})` +
      ` + (SELECT COUNT(*) FROM information_schema.routines WHERE routine_schema = ${text})` +
      ` + (SELECT COUNT(*) FROM information_schema.events WHERE event_schema = ${text})`,
  );
  if (Number(counted[0]?.[0]) === 0) return 'empty';
  const marked = await sql.rows(
    `SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = ${text} AND table_name = ${sqlText(marker)}`,
  );
  if (Number(marked[0]?.[0]) === 0) return 'full';
  const runs = await sql.rows(`SELECT run_id FROM ${sqlName(name)}.${sqlName(marker)}`);
  return runs.some(([run]) => run === runId) ? 'leftover' : 'full';
}

/** Makes the database; false where it was there, empty, and so is not ours to remove. */
async function prepare(sql: Sql, { description, name, state }: DatabaseRestore, runId: string): Promise<boolean> {
  if (state === 'empty') return false;
  if (state !== 'absent') await sql.rows(`DROP DATABASE ${sqlName(name)}`);
  const [characterSet, collation] = [description.character_set, description.collation];
  const known = [characterSet, collation].every((word) => /^\w+$/.test(word));
  await sql.rows(
    `CREATE DATABASE ${sqlName(name)}${known ? ` CHARACTER SET ${characterSet} COLLATE ${collation}` : ''}`,
  );
  const place = `${sqlName(name)}.${sqlName(marker)}`;
  await sql.rows(`CREATE TABLE ${place} (run_id VARCHAR(255) NOT NULL)`);
  await sql.rows(`INSERT INTO ${place} VALUES (${sqlText(runId)})`);
  return true;
}

async function load(reach: MysqlReach, client: FoundTool, restore: DatabaseRestore): Promise<void> {
  const { description, name, signal } = restore;
  const tool = await reach.host.start({
    program: client.program,
    files: reach.files(flavorOf(client.versionText)),
    args: ([options = '']) => [`--defaults-file=${options}`, ...flags, '--', name],
    stdin: 'pipe',
    signal,
  });
  const content = restore.content();
  const outcome = await feedTool(
    tool,
    name === description.name ? content : renameDatabase(content, description.name, name),
  );
  signal.throwIfAborted();
  if (outcome.lost !== undefined) throw outcome.lost;
  if (outcome.succeeded) return;
  const { detail } = toolError(outcome, 'DATABASE_RESTORE_FAILED');
  throw new XVaultError('DATABASE_RESTORE_FAILED', { ...(detail === undefined ? {} : { detail }) });
}

/** Removes what this restore made; the error that is to be thrown, with what is left. */
async function cleaned(reach: MysqlReach, name: string, made: boolean, error: unknown): Promise<unknown> {
  const left = made
    ? await reach
        .withSql((sql) => sql.rows(`DROP DATABASE ${sqlName(name)}`), AbortSignal.timeout(cleanUpMs))
        .then(
          () => null,
          (failure: unknown) => `the incomplete database could not be removed: ${asXVaultError(failure).detail ?? ''}`,
        )
    : 'the database was there, empty, and is now incomplete';
  if (left === null || !(error instanceof XVaultError)) return error;
  return new XVaultError(error.code, { detail: `${error.detail ?? ''}; ${left}`, params: error.params, cause: error });
}
