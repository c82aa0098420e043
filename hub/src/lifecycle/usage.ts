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

  /** All that are used up to this limit or beyond. */
  idsFrom(what: UsageKind, limit: number): string[] {
    const prefix = `${what} `;
    const full = [...this.#counts].filter(([key, count]) => count >= limit && key.startsWith(prefix));
    return full.map(([key]) => key.slice(prefix.length));
  }

  add(what: UsageKind, id: string | null, count: number): void {
    if (id !== null) this.#counts.set(`${what} ${id}`, this.of(what, id) + count);
  }
}
/** `places` are those of a pool's active workers; `pool` counts all that is in flight in it. */
type UsageKind = 'platform' | 'tenant' | 'pool' | 'places' | 'worker' | 'host' | 'destination';
