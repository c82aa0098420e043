import type { Sql } from './sql.ts';

export interface FoundDatabase {
  readonly name: string;
  readonly encoding: string;
  readonly collation: string;
  readonly estimatedBytes: number;
}

export interface ServerFacts {
  /** `15.4 (Debian …)` */
  readonly version: string;
  readonly major: number;
  readonly standby: boolean;
}

export async function serverFacts(sql: Sql): Promise<ServerFacts> {
  const [row] = await sql.rows(
    "select current_setting('server_version') as version, current_setting('server_version_num')::int as number, pg_is_in_recovery() as standby",
  );
  return {
    version: String(row?.version ?? 'unknown'),
    major: Math.floor(Number(row?.number ?? 0) / 10_000),
    standby: row?.standby === true,
  };
}

/** All databases that the user may connect to, but for templates. */
export async function listDatabases(sql: Sql): Promise<FoundDatabase[]> {
  const rows = await sql.rows(
    'select datname as name, pg_encoding_to_char(encoding) as encoding, datcollate as collation, pg_database_size(oid)::text as bytes ' +
      'from pg_database where datallowconn and not datistemplate and has_database_privilege(oid, \'CONNECT\') order by datname collate "C"',
  );
  return rows.map((row) => ({
    name: String(row.name),
    encoding: String(row.encoding),
    collation: String(row.collation),
    estimatedBytes: Number(row.bytes),
  }));
}
