import { type SelectQueryBuilder, sql } from 'kysely';
import type { PageRequest } from '../http/pagination.ts';
import type { Database } from './schema.ts';

/**
 * One page of what a query over a single table gives, newest first. The ids are found by themselves, in an index alone: a planner that
 * would fetch whole rows goes back through everybody's newest ones, however far it is to those that are wanted.
 */
export function newestFirst<Table extends keyof Database, Row>(
  query: SelectQueryBuilder<Database, Table, Row>,
  { limit, beforeId }: PageRequest,
): SelectQueryBuilder<Database, Table, Row> {
  const wanted = beforeId === undefined ? query : query.where(sql<boolean>`id < ${beforeId}`);
  const ids = wanted.clearSelect().select(sql<string>`id`.as('id')).orderBy(sql`id`, 'desc').limit(limit);
  return query.clearWhere().where(sql<boolean>`id = any(array${ids})`).orderBy(sql`id`, 'desc');
}
