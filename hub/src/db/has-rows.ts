import type { SelectQueryBuilder } from 'kysely';
import type { Database } from './schema.ts';

/** Whether the query gives anything; it ends with the first row. */
export async function hasRows<Table extends keyof Database, Row>(
  query: SelectQueryBuilder<Database, Table, Row>,
): Promise<boolean> {
  return (await query.limit(1).executeTakeFirst()) !== undefined;
}
