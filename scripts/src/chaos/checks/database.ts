import pg from 'pg';
import type { Query } from './finding.ts';

/** Asks the database with a connection of its own each time: checks are rare, and connections are killed here. */
export function queryOf(databaseUrl: string): Query {
  return async <Row extends Record<string, unknown>>(sql: string, values: readonly unknown[] = []) => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      return (await client.query<Row>(sql, [...values])).rows;
    } finally {
      await client.end();
    }
  };
}
