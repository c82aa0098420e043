import { goesAlone } from '@xvault/shared/sources.ts';
import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/schema.ts';
import type { InFlight } from './queue-model.ts';
import { inFlightStatuses } from './states.ts';

/** The data runs in flight, counted from the rows of the runs themselves: there is no counter that could go wrong. */
export async function readInFlight(db: Kysely<Database>): Promise<InFlight[]> {
  const worker = sql<string | null>`coalesce(worker_id, required_worker_id)`;
  const rows = await db
    .selectFrom('runs')
    .select(['tenant_id', 'pool', 'source_host', 'destination_id', worker.as('worker_id')])
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('status', 'in', inFlightStatuses)
    .where('slot', '=', 'data')
    .groupBy(['tenant_id', 'pool', 'source_host', 'destination_id', worker])
    .execute();
  return rows.map((row) => ({
    tenantId: row.tenant_id,
    pool: row.pool,
    workerId: row.worker_id,
    sourceHost: row.source_host,
    destinationId: row.destination_id,
    count: row.count,
  }));
}

/** How much of everything that is limited is in use. */
export class Usage {
  readonly #counts = new Map<string, number>();

  of(what: UsageKind, id: string): number {
    return this.#counts.get(`${what} ${id}`) ?? 0;
  }

  /** All that are used up to this limit or beyond; each may have a limit of its own. */
  idsFrom(what: UsageKind, limit: number | ((id: string) => number)): string[] {
    const prefix = `${what} `;
    const limitOf = typeof limit === 'number' ? () => limit : limit;
    const used = [...this.#counts].flatMap(([key, count]) =>
      key.startsWith(prefix) ? [{ id: key.slice(prefix.length), count }] : [],
    );
    return used.filter(({ id, count }) => count >= limitOf(id)).map(({ id }) => id);
  }

  add(what: UsageKind, id: string | null, count: number): void {
    if (id !== null) this.#counts.set(`${what} ${id}`, this.of(what, id) + count);
  }
}
/** Runs at once on one source's server, or by one connection. */
export function hostLimit(host: string, sourceHostMaxRuns: number): number {
  return goesAlone(host) ? Math.min(1, sourceHostMaxRuns) : sourceHostMaxRuns;
}

/** `places` are those of a pool's active workers; `pool` counts all that is in flight in it. */
type UsageKind = 'platform' | 'tenant' | 'pool' | 'places' | 'worker' | 'host' | 'destination';
