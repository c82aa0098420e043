import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { DatabaseOptions, OpenDatabase } from './database.ts';
import { createListener } from './postgres-listener.ts';
import { createStatementNames } from './prepared-statements.ts';
import type { Database } from './schema.ts';

const int8Oid = 20;

const types: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    // Byte counts stay below 2^53, so a number is exact and fits JSON.
    if (oid === int8Oid && format !== 'binary') return Number;
    return pg.types.getTypeParser(oid, format as 'text');
  },
};

/**
 * Listened to from its making: the pool leaves gaps in which the loss of a connection would end the process. Statements with
 * parameters that come often are prepared.
 */
function clientClass(logger: DatabaseOptions['logger']) {
  const nameOf = createStatementNames();
  return class extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      this.on('error', (error) => logger.debug({ err: error }, 'a database connection was lost'));
      const query = this.query.bind(this) as (...args: unknown[]) => unknown;
      const prepared = (text: unknown, values: unknown, ...rest: unknown[]): unknown => {
        const name = typeof text === 'string' && Array.isArray(values) && values.length > 0 ? nameOf(text) : null;
        return name === null ? query(text, values, ...rest) : query({ name, text, values }, ...rest);
      };
      this.query = prepared as pg.Client['query'];
    }
  };
}

export function openPostgres(
  url: string,
  { logger, poolSize = 10, idleInTransactionMs = 15_000 }: DatabaseOptions,
): OpenDatabase {
  const connection = { connectionString: url, keepAlive: true, connectionTimeoutMillis: 10_000, types };
  const pool = new pg.Pool({
    ...connection,
    max: poolSize,
    application_name: 'xvault-hub',
    // A Hub that was stopped inside a transaction must not hold its locks for ever.
    idle_in_transaction_session_timeout: idleInTransactionMs,
    Client: clientClass(logger),
  });
  pool.on('error', (error) => logger.warn({ err: error }, 'an idle database connection was lost'));
  const db = new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
  const listener = createListener({ ...connection, application_name: 'xvault-hub-listen' }, logger);
  let closing: Promise<void> | undefined;
  return {
    db,
    kind: 'postgres',
    listen: listener.listen,
    close() {
      closing ??= listener.close().then(() => db.destroy());
      return closing;
    },
  };
}
