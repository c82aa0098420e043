import type { Sql } from './sql.ts';

const systemSchemas = new Set(['information_schema', 'performance_schema', 'mysql', 'sys']);

export interface FoundDatabase {
  readonly name: string;
  readonly characterSet: string;
  readonly collation: string;
  /** Of its tables' data, as the server estimates it. */
  readonly estimatedBytes: number;
  /** Tables that a dump cannot see in one state with the others. */
  readonly looseTables: number;
}

/** `10.11.6-MariaDB` and the like. */
export async function serverVersion(sql: Sql): Promise<string> {
  return (await sql.rows('SELECT VERSION()'))[0]?.[0] ?? 'unknown';
}

/** All databases that the user sees, but for the system's own. */
export async function listDatabases(sql: Sql): Promise<FoundDatabase[]> {
  const schemata = await sql.rows(
    'SELECT schema_name, default_character_set_name, default_collation_name FROM information_schema.schemata ORDER BY schema_name',
  );
  const sizes = await sql.rows(
    "SELECT table_schema, COALESCE(SUM(data_length), 0), SUM(COALESCE(engine, 'InnoDB') NOT IN ('InnoDB', 'RocksDB', 'SEQUENCE')) FROM information_schema.tables WHERE table_type <> 'VIEW' GROUP BY table_schema",
  );
  const bySchema = new Map(sizes.map(([name, bytes, loose]) => [name, { bytes: Number(bytes), loose: Number(loose) }]));
  return schemata.flatMap(([name, characterSet, collation]) => {
    if (name === null || name === undefined || systemSchemas.has(name.toLowerCase())) return [];
    const size = bySchema.get(name);
    return {
      name,
      characterSet: characterSet ?? '',
      collation: collation ?? '',
      estimatedBytes: Math.round(size?.bytes ?? 0),
      looseTables: size?.loose ?? 0,
    };
  });
}
