import { type Kysely, sql } from 'kysely';
import type { Database, WorkerRow } from '../db/schema.ts';
import { dbNow } from './clock.ts';
import type { RunToPlace } from './queue-model.ts';
import type { LifecycleSettings } from './settings.ts';

/** What of a run decides whether a worker is fit for it. */
export type RunNeeds = Pick<RunToPlace, 'kind' | 'writesDisk'>;

export type FleetWorker = Pick<
  WorkerRow,
  'id' | 'pool' | 'slots' | 'capabilities' | 'disk_free_bytes' | 'load_1m' | 'status'
>;

/** Workers that were heard of lately, those that are draining among them: they may still hold tickets. */
export async function readFleet(
  db: Kysely<Database>,
  settings: Pick<LifecycleSettings, 'workerSilentMs' | 'workerMinFreeDiskBytes'>,
): Promise<Fleet> {
  const workers = await db
    .selectFrom('workers')
    .select(['id', 'pool', 'slots', 'capabilities', 'disk_free_bytes', 'load_1m', 'status'])
    .where('status', '<>', 'offline')
    .where('last_seen_at', '>', dbNow(-settings.workerSilentMs))
    .orderBy('id')
    .execute();
  return new Fleet(workers, settings.workerMinFreeDiskBytes);
}

/** The pools of all workers that are not gone for good. */
export async function listPools(db: Kysely<Database>): Promise<string[]> {
  const rows = await db.selectFrom('workers').select('pool').distinct().where('status', '<>', 'offline').execute();
  return rows.map((row) => row.pool);
}

/** A dispatched run (table `runs`) whose one worker, or every worker of its pool, takes no tickets now. */
export function isWithoutWorker({ workerSilentMs }: Pick<LifecycleSettings, 'workerSilentMs'>) {
  return sql<boolean>`not exists (
    select from workers where workers.status = 'active' and workers.last_seen_at > ${dbNow(-workerSilentMs)}
      and case when coalesce(runs.worker_id, runs.required_worker_id) is null then workers.pool = runs.pool
        else workers.id = coalesce(runs.worker_id, runs.required_worker_id) end)`;
}

/** Why the worker must not be given such a run, in words that follow "worker … "; null when it may. */
export function unfitFor(
  worker: Pick<FleetWorker, 'status' | 'capabilities' | 'disk_free_bytes'>,
  { kind, writesDisk }: RunNeeds,
  minFreeDiskBytes: number,
): string | null {
  if (worker.status === 'draining') return 'is being drained';
  if (!worker.capabilities.includes(kind)) return 'cannot do this';
  const isFull = writesDisk && (worker.disk_free_bytes ?? 0) < minFreeDiskBytes;
  return isFull ? 'has too little free disk' : null;
}

export class Fleet {
  readonly workers: readonly FleetWorker[];
  readonly #minFreeDiskBytes: number;
  readonly #byId: ReadonlyMap<string, FleetWorker>;
  readonly #byPool: ReadonlyMap<string, readonly FleetWorker[]>;

  constructor(workers: readonly FleetWorker[], minFreeDiskBytes: number) {
    this.workers = workers;
    this.#minFreeDiskBytes = minFreeDiskBytes;
    this.#byId = new Map(workers.map((worker) => [worker.id, worker]));
    this.#byPool = Map.groupBy(workers, (worker) => worker.pool);
  }

  get pools(): readonly string[] {
    return [...this.#byPool.keys()];
  }

  find(id: string): FleetWorker | undefined {
    return this.#byId.get(id);
  }

  inPool(pool: string): readonly FleetWorker[] {
    return this.#byPool.get(pool) ?? [];
  }

  unfitFor(worker: FleetWorker, needs: RunNeeds): string | null {
    return unfitFor(worker, needs, this.#minFreeDiskBytes);
  }
}
