import type pg from 'pg';

export interface SeenQuery {
  readonly sql: string;
  readonly parameters: readonly unknown[];
}

interface PlanNode {
  readonly 'Node Type': string;
  readonly 'Relation Name'?: string;
  readonly 'Index Name'?: string;
  readonly Plans?: readonly PlanNode[];
}

export interface QueryPlan {
  readonly sql: string;
  /** One line for each place where rows come from. */
  readonly reads: readonly string[];
  /** Tables that are read from their beginning to their end. */
  readonly seqScans: readonly string[];
}

/** How the database would carry out each of the queries, with the parameters that they had; nothing is executed. */
export async function explainAll(client: pg.Client, queries: readonly SeenQuery[]): Promise<QueryPlan[]> {
  const plans: QueryPlan[] = [];
  for (const { sql, parameters } of onePerText(queries)) {
    const { rows } = await client.query(`explain (format json) ${sql}`, [...parameters]);
    const nodes = flatten(rows[0]['QUERY PLAN'][0].Plan);
    const relations = nodes.filter((node) => node['Relation Name'] !== undefined || node['Index Name'] !== undefined);
    plans.push({
      sql,
      reads: relations.map((node) =>
        [node['Node Type'], node['Relation Name'], node['Index Name']].filter(Boolean).join(' '),
      ),
      seqScans: nodes.flatMap((node) => (node['Node Type'] === 'Seq Scan' ? (node['Relation Name'] ?? []) : [])),
    });
  }
  return plans;
}

/** Only what reads or changes rows can be explained. */
function onePerText(queries: readonly SeenQuery[]): SeenQuery[] {
  const byText = new Map(queries.map((query) => [query.sql, query]));
  return [...byText.values()].filter(({ sql }) => /^\s*(with|select|insert|update|delete)\b/i.test(sql));
}

function flatten(node: PlanNode): PlanNode[] {
  return [node, ...(node.Plans ?? []).flatMap(flatten)];
}
