import pg from 'pg';
import { untilAborted } from '../../net/until-aborted.ts';
import { type TlsPolicy, tlsOptions } from '../database/tls.ts';
import { outputOf, type ToolHost } from '../database/tool-host.ts';
import type { PgPlace } from './conninfo.ts';
import { clientError, lacksTls, toolError } from './errors.ts';

export type Row = Readonly<Record<string, unknown>>;

/** A login to one database, for looking things up and for statements that are not part of a dump. */
export interface Sql {
  rows(sql: string): Promise<Row[]>;
  /** A statement without rows. */
  run(sql: string): Promise<void>;
  close(): Promise<void>;
}

export interface Login {
  readonly user: string;
  readonly password: string;
  readonly database: string;
}

const connectMs = 30_000;

/** Throws SOURCE_AUTH_FAILED, SOURCE_TLS_FAILED, DATABASE_NOT_FOUND, SOURCE_…. */
export async function openSql(place: PgPlace, login: Login, policy: TlsPolicy, signal: AbortSignal): Promise<Sql> {
  const client = await connected(place, login, policy, signal);
  return {
    async rows(sql) {
      try {
        return (await untilAborted(client.query(sql), signal)).rows as Row[];
      } catch (error) {
        signal.throwIfAborted();
        throw clientError(error, 'looking up');
      }
    },
    async run(sql) {
      try {
        await untilAborted(client.query(sql), signal);
      } catch (error) {
        signal.throwIfAborted();
        throw clientError(error, 'a statement');
      }
    },
    close: () => closed(client),
  };
}

async function connected(place: PgPlace, login: Login, policy: TlsPolicy, signal: AbortSignal): Promise<pg.Client> {
  const attempt = async (tls: boolean) => {
    const client = new pg.Client({
      host: place.address ?? place.host,
      port: place.port,
      ...login,
      ssl: tls ? tlsOptions(policy) : false,
      connectionTimeoutMillis: connectMs,
      application_name: 'xvault',
    });
    // Its loss is told by whatever is asked next.
    client.on('error', () => undefined);
    try {
      await untilAborted(client.connect(), signal);
      return client;
    } catch (error) {
      closed(client).catch(() => undefined);
      signal.throwIfAborted();
      throw error;
    }
  };
  try {
    return await attempt(policy.mode !== 'disabled');
  } catch (error) {
    signal.throwIfAborted();
    if (policy.mode !== 'preferred' || !lacksTls(error)) throw clientError(error, 'logging in');
  }
  return attempt(false).catch((error: unknown) => {
    signal.throwIfAborted();
    throw clientError(error, 'logging in');
  });
}

/** The library waits for the server's good-bye; a server that is gone gives none. */
async function closed(client: pg.Client): Promise<void> {
  const timer = setTimeout(() => Reflect.get(client, 'connection')?.stream?.destroy(), 2000);
  try {
    await client.end();
  } finally {
    clearTimeout(timer);
  }
}

/** Where psql is on the far side and what it reads. */
export interface FarPsql {
  readonly host: ToolHost;
  readonly program: string;
  readonly files: readonly string[];
  readonly env: (paths: readonly string[]) => Readonly<Record<string, string>>;
}

const limitBytes = 64 * 1024 * 1024;

/** The same through psql of the far side. Each statement must be a query without a semicolon. */
export function farSql(psql: FarPsql, database: string, signal: AbortSignal): Sql {
  const ask = async (input: string) => {
    const command = {
      program: psql.program,
      files: psql.files,
      env: psql.env,
      args: () => [
        '--no-psqlrc',
        '--no-password',
        '--quiet',
        '--tuples-only',
        '--no-align',
        '--set=ON_ERROR_STOP=1',
        database,
      ],
      stdin: 'pipe' as const,
      signal,
    };
    const { outcome, output } = await outputOf(psql.host, command, input, limitBytes);
    signal.throwIfAborted();
    if (outcome.lost !== undefined) throw outcome.lost;
    if (!outcome.succeeded) throw toolError(outcome, 'SOURCE_PROTOCOL');
    return output;
  };
  return {
    async rows(sql) {
      const output = await ask(`select coalesce(json_agg(q), '[]') from (${sql}) q;\n`);
      return JSON.parse(output) as Row[];
    },
    async run(sql) {
      await ask(`${sql};\n`);
    },
    close: async () => undefined,
  };
}

export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

export function sqlName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
