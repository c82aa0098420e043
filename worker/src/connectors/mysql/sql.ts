import type { Duplex } from 'node:stream';
import mysql, { type Connection } from 'mysql2/promise';
import { untilAborted } from '../../net/until-aborted.ts';
import { clientError } from './errors.ts';
import type { MysqlLink } from './link.ts';

/** Rows of texts; NULL is null, or the text where the far side's program cannot tell them apart. */
export type Rows = (string | null)[][];

/** A login, for looking things up. */
export interface Sql {
  rows(sql: string): Promise<Rows>;
  close(): Promise<void>;
}

export interface Login {
  readonly user: string;
  readonly password: string;
}

const connectMs = 30_000;

/** Throws SOURCE_AUTH_FAILED, SOURCE_TLS_FAILED, SOURCE_…. */
export async function openSql(link: MysqlLink, login: Login, signal: AbortSignal): Promise<Sql> {
  const place = await link.clientPlace();
  let connection: Connection;
  try {
    connection = await untilAborted(
      mysql.createConnection({
        ...('stream' in place ? { stream: asNetStream(place.stream) } : { socketPath: place.socketPath }),
        user: login.user,
        password: login.password,
        connectTimeout: connectMs,
        charset: 'utf8mb4',
        rowsAsArray: true,
        // A server may not ask us for a file.
        flags: ['-LOCAL_FILES'],
        typeCast: (field) => field.string(),
      }),
      signal,
    );
  } catch (error) {
    signal.throwIfAborted();
    throw link.failure() ?? clientError(error, 'logging in');
  }
  // Its loss is told by whatever is asked next.
  connection.on('error', () => undefined);
  return {
    async rows(sql) {
      try {
        const [rows] = await untilAborted(connection.query(sql), signal);
        return rows as unknown as Rows;
      } catch (error) {
        signal.throwIfAborted();
        throw clientError(error, 'looking up');
      }
    },
    async close() {
      connection.destroy();
    },
  };
}

/** The library sets socket options, which a channel of SSH does not have. */
function asNetStream(stream: Duplex): Duplex {
  const lenient = {
    setNoDelay: () => stream,
    setKeepAlive: () => stream,
    setTimeout: () => stream,
    ref: () => stream,
    unref: () => stream,
  };
  for (const [name, method] of Object.entries(lenient)) {
    if (typeof Reflect.get(stream, name) !== 'function') Reflect.set(stream, name, method);
  }
  return stream;
}

/** A text as part of a statement. */
export function sqlText(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;
}

export function sqlName(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
