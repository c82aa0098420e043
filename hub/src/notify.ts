import { EventEmitter } from 'node:events';
import type { Logger } from '@xvault/shared/logging.ts';
import { type Kysely, type RawBuilder, sql } from 'kysely';
import type { OpenDatabase } from './db/database.ts';
import type { Database } from './db/schema.ts';

const runChannel = 'xvault_run';
const queuedChannel = 'xvault_queued';
/** PostgreSQL refuses a payload of 8,000 bytes; an id has at most 64. */
const idsPerPayload = 100;

/** What changed, told to this process by the database. A hint only: listeners read the database, and look again now and then. */
export interface HubEvents {
  /** Calls back when the run may have changed (status, progress, events); the result ends it. */
  onRun(runId: string, listener: () => void): () => void;
  /** Calls back when a run may be waiting for admission; the result ends it. */
  onQueued(listener: () => void): () => void;
  close(): Promise<void>;
}

/** Listens on the database's channels, once for the whole process. */
export async function openHubEvents(open: Pick<OpenDatabase, 'listen'>, logger: Logger): Promise<HubEvents> {
  const runs = new EventEmitter();
  const queued = new EventEmitter();
  runs.setMaxListeners(0);
  queued.setMaxListeners(0);
  const tell = (emitter: EventEmitter, name: string): void => {
    try {
      emitter.emit(name);
    } catch (error) {
      logger.error({ err: error }, 'a listener of database notifications failed');
    }
  };
  const endings = [
    await open.listen(runChannel, (payload) => {
      // Without a payload notifications may have been missed, so everybody looks again.
      const names = payload === '' ? runs.eventNames().map(String) : payload.split(',').map((runId) => `run:${runId}`);
      for (const name of names) tell(runs, name);
    }),
    await open.listen(queuedChannel, () => tell(queued, 'queued')),
  ];
  return {
    onRun: (runId, listener) => subscribe(runs, `run:${runId}`, listener),
    onQueued: (listener) => subscribe(queued, 'queued', listener),
    async close() {
      runs.removeAllListeners();
      queued.removeAllListeners();
      await Promise.all(endings.map((end) => end()));
    },
  };
}

function subscribe(emitter: EventEmitter, name: string, listener: () => void): () => void {
  emitter.on(name, listener);
  return () => void emitter.off(name, listener);
}

/** Tells all Hubs that these runs changed; inside a transaction, when it commits. */
export async function notifyRuns(db: Kysely<Database>, runIds: readonly string[]): Promise<void> {
  const payloads: string[] = [];
  for (let from = 0; from < runIds.length; from += idsPerPayload) {
    payloads.push(runIds.slice(from, from + idsPerPayload).join(','));
  }
  if (payloads.length === 0) return;
  await sql`select pg_notify(${runChannel}, payload) from unnest(${payloads}::text[]) as payload`.execute(db);
}

/** Wakes the admission of all Hubs; inside a transaction, when it commits. */
export async function notifyQueued(db: Kysely<Database>): Promise<void> {
  await sql`select pg_notify(${queuedChannel}, '')`.execute(db);
}

/** The same as {@link notifyRuns}, as a part of another statement: for at most a hundred runs, `ids` being a query for a column `id`. */
export function tellRuns(ids: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(select pg_notify(${runChannel}, string_agg(told.id, ',')) from (${ids}) as told)`;
}

/** The same as {@link notifyQueued}, as a part of another statement. */
export const tellQueued: RawBuilder<unknown> = sql`(select pg_notify(${queuedChannel}, ''))`;
