import { Kysely, PostgresDialect } from 'kysely';
import pg from 'pg';
import type { Database } from '../db/schema.ts';

/** Tables that hold a history or a customer's possessions: what reads one of them whole is too slow some day. */
const growingTables: readonly string[] = [
  ...['runs', 'run_attempts', 'run_events', 'snapshots', 'exports', 'jobs', 'sources', 'schedule_fires', 'audit_log'],
  'idempotency_keys',
];

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly 'Actual Rows': number;
  readonly 'Actual Loops': number;
  readonly 'Rows Removed by Filter'?: number;
  readonly 'Rows Removed by Index Recheck'?: number;
  readonly Plans?: readonly PlanNode[];
}

/** A place in a plan where rows of a table come from. */
interface TableRead {
  readonly table: string;
  readonly how: string;
  /** Empty when the table itself was read. */
  readonly indexes: readonly string[];
  /** Rows looked at, those that were thrown away among them. */
  readonly rows: number;
}

/** A statement as it was sent, and how the database carried it out. */
export interface QueryPlan {
  readonly sql: string;
  readonly reads: readonly TableRead[];
}

export interface WatchedDatabase {
  readonly db: Kysely<Database>;
  /** The plans of all statements that are sent while the work goes on. One piece of work at a time. */
  during(work: () => Promise<unknown>): Promise<QueryPlan[]>;
}

/**
 * A PostgreSQL database that has each statement explained, and for that carried out and undone, in the connection and at the moment in which
 * it is sent: with the parameters, and among the rows, that it really meets. Its time is not that of an unwatched one.
 */
export function watchPlans(databaseUrl: string): WatchedDatabase {
  let plans: QueryPlan[] | undefined;
  const types = { getTypeParser: (oid: number) => (oid === 20 ? Number : pg.types.getTypeParser(oid, 'text')) };
  const Client = watchingClient(
    () => plans !== undefined,
    (plan) => plans?.push(plan),
  );
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 5, types, Client });
  return {
    db: new Kysely<Database>({ dialect: new PostgresDialect({ pool }) }),
    async during(work) {
      const seen: QueryPlan[] = [];
      plans = seen;
      try {
        await work();
      } finally {
        plans = undefined;
      }
      return seen;
    },
  };
}

type Ask = (text: string, values?: readonly unknown[]) => Promise<pg.QueryResult>;

function watchingClient(isWatched: () => boolean, seen: (plan: QueryPlan) => void) {
  return class extends pg.Client {
    constructor(config?: string | pg.ClientConfig) {
      super(config);
      const ask = this.query.bind(this) as unknown as Ask;
      let isInTransaction = false;
      const watched: Ask = async (text, values) => {
        if (isWatched() && /^\s*(with|select|insert|update|delete)\b/i.test(text)) {
          const plan = await explain(ask, text, values ?? [], isInTransaction);
          if (plan !== null) seen(plan);
        }
        if (/^(begin|start transaction)\b/.test(text)) isInTransaction = true;
        if (/^(commit|rollback)$/.test(text)) isInTransaction = false;
        return ask(text, values);
      };
      this.query = watched as unknown as pg.Client['query'];
    }
  };
}

/** Null for a statement that fails: whoever sends it is told so when it is carried out in earnest. */
async function explain(
  ask: Ask,
  text: string,
  values: readonly unknown[],
  isInTransaction: boolean,
): Promise<QueryPlan | null> {
  const [begin, ...undo] = isInTransaction
    ? ['savepoint watched', 'rollback to savepoint watched', 'release savepoint watched']
    : ['begin', 'rollback'];
  await ask(begin ?? '');
  try {
    const { rows } = await ask(`explain (analyze, timing off, format json) ${text}`, values);
    return { sql: text, reads: readsOf(rows[0]['QUERY PLAN'][0].Plan) };
  } catch {
    return null;
  } finally {
    for (const statement of undo) await ask(statement);
  }
}

function readsOf(root: PlanNode): TableRead[] {
  return flatten(root).flatMap((node) => {
    const { 'Node Type': how, 'Relation Name': table } = node;
    if (table === undefined || !how.endsWith(' Scan')) return [];
    const perLoop =
      node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0) + (node['Rows Removed by Index Recheck'] ?? 0);
    return [{ table, how, indexes: indexesOf(node), rows: perLoop * node['Actual Loops'] }];
  });
}

/** Of a scan itself: what else hangs below it, as a subquery does, is a read of its own. */
function indexesOf(node: PlanNode): string[] {
  const bitmaps = (node.Plans ?? []).filter((part) => part['Node Type'].startsWith('Bitmap'));
  return [
    ...new Set([...(node['Index Name'] === undefined ? [] : [node['Index Name']]), ...bitmaps.flatMap(indexesOf)]),
  ];
}

function flatten(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)];
}

/** In words, what of the plans reads a growing table from end to end, or looks at more than so many of its rows. */
export function tooLongReads(plans: readonly QueryPlan[], mostRows: number): string[] {
  const isTooLong = ({ table, how, rows }: TableRead) =>
    growingTables.includes(table) && (how === 'Seq Scan' || rows > mostRows);
  const found = plans.flatMap(({ sql, reads }) =>
    reads.filter(isTooLong).map((read) => `${inWords(read)} by ${shortened(sql)}`),
  );
  return [...new Set(found)];
}

export function inWords({ table, how, indexes, rows }: TableRead): string {
  return [how, 'of', table, ...(indexes.length === 0 ? [] : ['by', indexes.join(' and ')]), `(${rows} rows)`].join(' ');
}

export function shortened(statement: string): string {
  return statement.replace(/\s+/g, ' ').trim().slice(0, 300);
}
