import { goesAlone } from '@xvault/shared/sources.ts';
import type { Kysely } from 'kysely';
import type { Database } from '../db/schema.ts';
import { type Fleet, type FleetWorker, type RunNeeds, readFleet } from './fleet.ts';
import type { InFlight, Placement, RunToPlace } from './queue-model.ts';
import { dispatchPerSlot, type LifecycleSettings } from './settings.ts';
import { hostLimit, readInFlight, Usage } from './usage.ts';

export type Limits = Pick<
  LifecycleSettings,
  'globalMaxRuns' | 'poolMaxRuns' | 'sourceHostMaxRuns' | 'destinationMaxRuns'
>;

/** What room there is now. */
export async function readRoom(db: Kysely<Database>, settings: LifecycleSettings): Promise<Room> {
  const fleet = await readFleet(db, settings);
  return new Room(fleet, await readInFlight(db), settings);
}

/** The room that is left while runs are chosen. */
export class Room {
  readonly fleet: Fleet;
  readonly usage = new Usage();
  readonly #limits: Limits;

  constructor(fleet: Fleet, inFlight: readonly InFlight[], limits: Limits) {
    this.fleet = fleet;
    this.#limits = limits;
    for (const row of inFlight) this.#count(row);
  }

  /** How many more data runs could go if nothing but the platform and the slots limited them. */
  get free(): number {
    const places = this.fleet.pools.map((pool) => Math.max(0, this.#places(pool) - this.usage.of('places', pool)));
    const platform = this.#limits.globalMaxRuns - this.usage.of('platform', '');
    return Math.max(
      0,
      Math.min(
        platform,
        places.reduce((sum, count) => sum + count, 0),
      ),
    );
  }

  /** Where the run may go now, all limits considered. */
  place(run: RunToPlace, tenantLimit: number): Placement {
    const reason = run.slot === 'data' ? this.#limitReached(run, tenantLimit) : undefined;
    return reason === undefined ? this.placeInLane(run) : { reason };
  }

  /** Where such a run may go now, the workers alone considered. */
  placeInLane(run: Pick<RunToPlace, 'kind' | 'writesDisk' | 'slot' | 'pool' | 'requiredWorkerId'>): Placement {
    const { requiredWorkerId: id } = run;
    const pool = (id === null ? undefined : this.fleet.find(id)?.pool) ?? run.pool;
    const { poolMaxRuns } = this.#limits;
    const used = this.usage.of('pool', pool);
    if (run.slot === 'data' && used >= poolMaxRuns) return { reason: `pool limit ${used} of ${poolMaxRuns} in use` };
    return id === null ? this.#placeInPool(run) : this.#placeAt(run, id);
  }

  take(run: RunToPlace, workerId: string | null): void {
    if (run.slot === 'data') this.#count({ ...run, workerId, count: 1 });
  }

  #limitReached(run: RunToPlace, tenantLimit: number): string | undefined {
    const { globalMaxRuns, sourceHostMaxRuns, destinationMaxRuns } = this.#limits;
    const host = run.sourceHost ?? '';
    const hostName = goesAlone(host) ? 'connection limit' : 'source host limit';
    const checks = [
      ['tenant', run.tenantId, 'tenant limit', tenantLimit],
      ['host', run.sourceHost, hostName, hostLimit(host, sourceHostMaxRuns)],
      ['destination', run.destinationId, 'destination limit', destinationMaxRuns],
      ['platform', '', 'platform limit', globalMaxRuns],
    ] as const;
    for (const [what, id, name, limit] of checks) {
      const used = id === null ? 0 : this.usage.of(what, id);
      if (used >= limit) return `${name} ${used} of ${limit} in use`;
    }
    return undefined;
  }

  #placeAt({ slot, ...needs }: RunNeeds & Pick<RunToPlace, 'slot'>, workerId: string): Placement {
    const worker = this.fleet.find(workerId);
    if (worker === undefined) return { reason: `worker ${workerId} is offline` };
    const unfit = this.fleet.unfitFor(worker, needs);
    if (unfit !== null) return { reason: `worker ${workerId} ${unfit}` };
    if (slot === 'control' || this.#freeAt(worker) > 0) return { workerId };
    return { reason: `worker ${workerId}: ${this.usage.of('worker', workerId)} of ${places(worker)} places in use` };
  }

  #placeInPool({ slot, pool, ...needs }: RunNeeds & Pick<RunToPlace, 'slot' | 'pool'>): Placement {
    const present = this.fleet.inPool(pool);
    if (present.length === 0) return { reason: `no worker of pool ${pool} is online` };
    const fit = present.filter((worker) => this.fleet.unfitFor(worker, needs) === null);
    if (fit.length === 0) return { reason: `no worker of pool ${pool} can do this: ${this.#whyNone(present, needs)}` };
    const [used, all] = [this.usage.of('places', pool), this.#places(pool)];
    if (slot === 'data' && used >= all) return { reason: `pool ${pool}: ${used} of ${all} places in use` };
    // Any worker of the pool may take a ticket from its lane, so all must be fit for it.
    if (fit.length === present.length) return { workerId: null };
    const free = slot === 'control' ? fit : fit.filter((worker) => this.#freeAt(worker) > 0);
    const best = free.reduce<FleetWorker | undefined>((a, b) => (a && !this.#isLessLoaded(b, a) ? a : b), undefined);
    if (best === undefined) return { reason: `${fit.length} of ${present.length} workers can do this and are busy` };
    return { workerId: best.id };
  }

  #whyNone(present: readonly FleetWorker[], needs: RunNeeds): string {
    const counts = Map.groupBy(present, (worker) => this.fleet.unfitFor(worker, needs));
    return [...counts].map(([why, of]) => `${of.length} ${why}`).join(', ');
  }

  #isLessLoaded(a: FleetWorker, b: FleetWorker): boolean {
    const difference = this.#freeAt(a) - this.#freeAt(b);
    return difference === 0 ? (a.load_1m ?? 0) < (b.load_1m ?? 0) : difference > 0;
  }

  #freeAt(worker: FleetWorker): number {
    return places(worker) - this.usage.of('worker', worker.id);
  }

  #places(pool: string): number {
    return this.fleet.inPool(pool).reduce((sum, worker) => sum + (worker.status === 'active' ? places(worker) : 0), 0);
  }

  #count(row: InFlight): void {
    const worker = row.workerId === null ? undefined : this.fleet.find(row.workerId);
    const pool = worker?.pool ?? row.pool;
    this.usage.add('platform', '', row.count);
    this.usage.add('tenant', row.tenantId, row.count);
    this.usage.add('host', row.sourceHost, row.count);
    this.usage.add('destination', row.destinationId, row.count);
    this.usage.add('worker', row.workerId, row.count);
    this.usage.add('pool', pool, row.count);
    // What a silent or draining worker still has takes no place of the others.
    if (row.workerId === null || worker?.status === 'active') this.usage.add('places', pool, row.count);
  }
}

/** Data runs that a worker is given at once: some wait in its lane, so that no slot waits for them. */
function places(worker: Pick<FleetWorker, 'slots'>): number {
  return Math.ceil(worker.slots * dispatchPerSlot);
}
