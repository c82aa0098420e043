import type { Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import type { SecretsRequest } from './start-secrets.ts';

/** By run, where symlinks of a source on a worker's own disk may lead: to what its tenant may back up. */
export async function readFollowRoots(
  trx: Transaction<Database>,
  requests: readonly Omit<SecretsRequest, 'runId'>[],
): Promise<(string[] | undefined)[]> {
  const follows = requests.map(({ spec }) => spec.kind === 'backup' && followsLocally(spec));
  if (!follows.includes(true)) return follows.map(() => undefined);
  const ids = requests.flatMap(({ tenantId }, at) => (follows[at] === true ? [tenantId] : []));
  const rows = await trx.selectFrom('tenants').select(['id', 'local_paths']).where('id', 'in', ids).execute();
  const paths = new Map(rows.map((row) => [row.id, row.local_paths]));
  return requests.map(({ tenantId }, at) => (follows[at] === true ? (paths.get(tenantId) ?? []) : undefined));
}

function followsLocally({ source, options }: Extract<SecretsRequest['spec'], { kind: 'backup' }>): boolean {
  return source.type === 'local' && options.follow_symlinks;
}
