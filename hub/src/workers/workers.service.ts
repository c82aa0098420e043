import { XVaultError } from '@xvault/shared/errors.ts';
import type { RegisterRequest } from '@xvault/shared/internal-api.ts';
import { hashToken, randomToken } from '@xvault/shared/tokens.ts';
import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database, WorkerRow } from '../db/schema.ts';
import type { LifecycleSettings } from '../lifecycle/settings.ts';
import { giveUpRunsOf, recallTicketsOf } from '../lifecycle/worker-runs.ts';
import { createReader } from '../loops/batcher.ts';
import { notifyQueued } from '../notify.ts';
import {
  endDraining,
  findWorkersByTokenHash,
  setDraining,
  updateRegistered,
  upsertEnrolled,
} from './workers.repository.ts';

type Db = Kysely<Database>;

interface Enrolment {
  readonly workerId: string;
  readonly name: string;
  /** Of the worker. */
  readonly address: string;
}

/** Gives a worker a token of its own, kept as a hash; a token given before ends. The enrolment token must have been checked. */
export async function enrolWorker(db: Db, { workerId, name, address }: Enrolment): Promise<string> {
  const token = randomToken();
  await db.transaction().execute(async (trx) => {
    await upsertEnrolled(trx, workerId, name, hashToken(token));
    const object = { objectType: 'worker', objectId: workerId };
    await writeAudit(trx, { userId: null, address }, { tenantId: null, action: 'worker.enrol', ...object });
  });
  return token;
}

/**
 * Notes what a starting worker says of itself. When it is another process than the one before, that one is dead (the worker
 * guards its data directory), and its runs go to further attempts now. Throws NOT_FOUND for one that was never enrolled.
 */
export async function registerWorker(
  db: Db,
  known: Pick<WorkerRow, 'boot_id'>,
  request: RegisterRequest,
  settings: LifecycleSettings,
): Promise<WorkerRow> {
  return db.transaction().execute(async (trx) => {
    // Runs before the worker's row: the order in which a heartbeat locks them.
    if (known.boot_id !== request.boot_id) await giveUpRunsOf(trx, request.worker_id, settings);
    const worker = await updateRegistered(trx, request);
    if (worker === undefined) throw new XVaultError('NOT_FOUND');
    await notifyQueued(trx);
    return worker;
  });
}

/** The worker gets no more runs; those it carries out go on, those that wait in its lane go back. Throws NOT_FOUND. */
export async function drainWorker(db: Db, actor: Actor, workerId: string): Promise<WorkerRow> {
  return db.transaction().execute(async (trx) => {
    const worker = await setDraining(trx, workerId);
    if (worker === undefined) throw new XVaultError('NOT_FOUND');
    await recallTicketsOf(trx, workerId);
    await writeAudit(trx, actor, { tenantId: null, action: 'worker.drain', objectType: 'worker', objectId: workerId });
    return worker;
  });
}

/** Ends a drain; without one nothing changes. Throws NOT_FOUND. */
export async function resumeWorker(db: Db, actor: Actor, workerId: string, silentMs: number): Promise<WorkerRow> {
  return db.transaction().execute(async (trx) => {
    const worker = await endDraining(trx, workerId, silentMs);
    if (worker === undefined) throw new XVaultError('NOT_FOUND');
    await notifyQueued(trx);
    await writeAudit(trx, actor, { tenantId: null, action: 'worker.resume', objectType: 'worker', objectId: workerId });
    return worker;
  });
}

/** Finds the worker that a bearer token belongs to; undefined when there is none. Requests of one moment are answered by one query. */
export function createWorkerFinder(db: Db): (token: string) => Promise<WorkerRow | undefined> {
  const find = createReader((hashes) => findWorkersByTokenHash(db, hashes));
  return (token) => find(hashToken(token));
}
