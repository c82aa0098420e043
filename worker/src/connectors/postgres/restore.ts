import { createHash } from 'node:crypto';
import { asXVaultError, XVaultError } from '@xvault/shared/errors.ts';
import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { DatabaseRestore, DatabaseState, DatabaseTarget } from '../../engines/database/target.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { feedTool } from '../database/feed-tool.ts';
import type { ToolOutcome } from '../database/tool-host.ts';
import { conninfo } from './conninfo.ts';
import { toolError } from './errors.ts';
import { type PostgresReach, type PostgresTarget, reachPostgres } from './reach.ts';
import { type Row, type Sql, sqlName, sqlText } from './sql.ts';
import { majorOf } from './versions.ts';

/** All or nothing: a restore that fails or is killed leaves the database as it was. */
const flags = ['--no-password', '--exit-on-error', '--single-transaction', '--no-owner'];
const cleanUpMs = 60_000;

/** What a database has that is not there from its beginning. */
const isFull = `select exists (
  select from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid and d.deptype = 'e')
) or exists (
  select from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')
) or exists (
  select from pg_type t join pg_namespace n on n.oid = t.typnamespace
  where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
    and not exists (select from pg_depend d where d.classid = 'pg_type'::regclass and d.objid = t.oid and d.deptype = 'e')
) as full`;

/** A PostgreSQL server that databases are restored to. `runId`: attempts of the same run know each other by it. */
export async function openPostgresTarget(
  guard: AddressGuard,
  config: PostgresTarget,
  secret: DatabaseSecret,
  runId: string,
  signal: AbortSignal,
): Promise<DatabaseTarget> {
  const reach = await reachPostgres(guard, config, secret, false, signal);
  try {
    const server = serverOf(reach, config.maintenance_database);
    return {
      takes: ({ engine }) => engine === 'postgres',
      state: (name) => stateOf(reach, server, name),
      async restore(restore) {
        if (restore.state === 'empty') return { note: await load(reach, restore, restore.name) };
        const made = restore.state === 'absent' ? restore.name : temporaryName(runId, restore.name);
        if (made !== restore.name) await server.run(`DROP DATABASE IF EXISTS ${sqlName(made)}`);
        await create(server, made, restore);
        try {
          const note = await load(reach, restore, made);
          if (made !== restore.name) await replace(server, made, restore.name);
          return { note };
        } catch (error) {
          throw await cleaned(server, made, error);
        }
      },
      close: () => reach.close(),
    };
  } catch (error) {
    await reach.close();
    throw error;
  }
}

/** The maintenance database: a login for each statement, since a restore takes longer than idle ones live. */
interface Server {
  rows(sql: string): Promise<Row[]>;
  run(sql: string, until?: AbortSignal): Promise<void>;
}

function serverOf(reach: PostgresReach, database: string): Server {
  async function ask<T>(act: (sql: Sql) => Promise<T>, until?: AbortSignal): Promise<T> {
    const sql = await reach.openSql(database, until);
    try {
      return await act(sql);
    } finally {
      await sql.close();
    }
  }
  return {
    rows: (statement) => ask((sql) => sql.rows(statement)),
    run: (statement, until) => ask((sql) => sql.run(statement), until),
  };
}

/** A killed attempt leaves an empty database at most, so there are no leftovers to know. */
async function stateOf(reach: PostgresReach, server: Server, name: string): Promise<DatabaseState> {
  const found = await server.rows(`select 1 as one from pg_database where datname = ${sqlText(name)}`);
  if (found.length === 0) return 'absent';
  const sql = await reach.openSql(name);
  try {
    const [row] = await sql.rows(isFull);
    return row?.full === true ? 'full' : 'empty';
  } finally {
    await sql.close();
  }
}

/** The same for every attempt of a run, and short enough for any name. */
function temporaryName(runId: string, name: string): string {
  return `xvault_restore_${createHash('sha256').update(`${runId}\0${name}`).digest('hex').slice(0, 24)}`;
}

async function create(server: Server, name: string, { description }: DatabaseRestore): Promise<void> {
  const base = `CREATE DATABASE ${sqlName(name)} TEMPLATE template0 ENCODING ${sqlText(description.character_set)}`;
  const locale = sqlText(description.collation);
  try {
    await server.run(`${base} LC_COLLATE ${locale} LC_CTYPE ${locale}`);
  } catch (error) {
    // The other machine has other locales: its own default then.
    if (!/invalid (LC_COLLATE )?locale name/i.test(asXVaultError(error).detail ?? '')) throw error;
    await server.run(base);
  }
}

/** Loads the dump; a note where it was possible only without the privileges in it. */
async function load(reach: PostgresReach, restore: DatabaseRestore, into: string): Promise<string | null> {
  const first = await attempt(reach, restore, into, []);
  if (first.succeeded) return null;
  // The transaction took everything back, so there may be a second attempt.
  const role = /role "([^"\n]*)" does not exist/.exec(first.stderr)?.[1];
  const last = role === undefined ? first : await attempt(reach, restore, into, ['--no-privileges']);
  if (last.succeeded) return `without the privileges in the dump: there is no role ${JSON.stringify(role)}`;
  const { detail } = toolError(last, 'DATABASE_RESTORE_FAILED');
  throw new XVaultError('DATABASE_RESTORE_FAILED', { ...(detail === undefined ? {} : { detail }) });
}

async function attempt(
  reach: PostgresReach,
  { description, content, signal }: DatabaseRestore,
  into: string,
  further: readonly string[],
): Promise<ToolOutcome> {
  const pgRestore = await reach.tool('pg_restore', majorOf(description.tool_version));
  const tool = await reach.host.start({
    program: pgRestore.program,
    files: reach.files,
    env: reach.env,
    args: () => [...flags, ...further, `--dbname=${conninfo(into)}`],
    stdin: 'pipe',
    signal,
  });
  const outcome = await feedTool(tool, content());
  signal.throwIfAborted();
  if (outcome.lost !== undefined) throw outcome.lost;
  return outcome;
}

/** The old one gives its name away, and goes only when the new one has it. */
async function replace(server: Server, made: string, name: string): Promise<void> {
  const old = `${made}_old`;
  // Not to be broken off between the two.
  const until = AbortSignal.timeout(cleanUpMs);
  const rename = (from: string, to: string) =>
    server.run(`ALTER DATABASE ${sqlName(from)} RENAME TO ${sqlName(to)}`, until);
  try {
    await rename(name, old);
  } catch (error) {
    const detail = `the database to replace is in use or not the user's own: ${asXVaultError(error).detail ?? ''}`;
    throw new XVaultError('DATABASE_RESTORE_FAILED', { detail, cause: error });
  }
  try {
    await rename(made, name);
  } catch (error) {
    await rename(old, name);
    throw error;
  }
  await server.run(`DROP DATABASE ${sqlName(old)}`, until);
}

/** Removes what this restore made; the error that is to be thrown, with what is left. */
async function cleaned(server: Server, made: string, error: unknown): Promise<unknown> {
  try {
    await server.run(`DROP DATABASE IF EXISTS ${sqlName(made)}`, AbortSignal.timeout(cleanUpMs));
    return error;
  } catch (failure) {
    if (!(error instanceof XVaultError)) return error;
    const left = `the incomplete database ${made} could not be removed: ${asXVaultError(failure).detail ?? ''}`;
    return new XVaultError(error.code, {
      detail: `${error.detail ?? ''}; ${left}`,
      params: error.params,
      cause: error,
    });
  }
}
