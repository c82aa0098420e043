import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { ApiError } from '../api/client.ts';
import { hasEnded, runView } from '../api/runs.ts';
import type { Random } from '../cluster/random.ts';
import type { ChaosTenant } from './tenants.ts';

/** What the customers have asked for; compared later with what the database has. */
export interface Asked {
  /** Runs that an answer named: each must be there for ever, and no others. */
  readonly accepted: string[];
  /** Restores to a directory: run → where, and which snapshot. */
  readonly restores: Map<string, { readonly path: string; readonly snapshotId: string }>;
  /** Code of the refusal → how often. */
  readonly refused: Map<string, number>;
  cancels: number;
}

const created = z.object({ id: z.string() });
const restoreAnswer = z.object({ run: created });
const runPage = z.object({ items: z.array(runView) });
const snapshotPage = z.object({ items: z.array(created) });
/** Runs that a tenant leaves open before its customers wait; more than any may have in flight. */
const mostOpen = 10;

export function nothingAsked(): Asked {
  return { accepted: [], restores: new Map(), refused: new Map(), cancels: 0 };
}

/** One customer of a tenant: asks for backups, restores, verifications and cancellations until `stop`. */
export async function beCustomer(tenant: ChaosTenant, random: Random, asked: Asked, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await sleep(random.int(50, 500), undefined, { signal: stop }).catch(() => undefined);
    if (stop.aborted) return;
    const { items } = await tenant.client.get('/api/v1/runs?limit=50', runPage);
    const open = items.filter((run) => !hasEnded(run)).map((run) => run.id);
    try {
      await askForSomething(tenant, open, random, asked);
    } catch (error) {
      // An answer all the same: the job has an open run, the run has ended, the snapshot is not to be had.
      if (!(error instanceof ApiError) || error.status >= 500) throw error;
      asked.refused.set(error.code, (asked.refused.get(error.code) ?? 0) + 1);
    }
  }
}

async function askForSomething(tenant: ChaosTenant, open: readonly string[], random: Random, asked: Asked) {
  const draw = random.next();
  const isFull = open.length >= mostOpen;
  if (draw < (isFull ? 0.01 : 0.05)) {
    if (open.length > 0) await cancel(tenant, random.pick(open), asked);
    return;
  }
  if (isFull) return;
  if (draw < 0.6) return backUp(tenant, random, asked);
  const { items } = await tenant.client.get('/api/v1/snapshots?status=committed&limit=20', snapshotPage);
  if (items.length === 0) return;
  const snapshot = random.pick(items).id;
  if (draw < 0.74) await restoreToDirectory(tenant, snapshot, asked);
  else if (draw < 0.85) await restoreToExport(tenant, snapshot, random, asked);
  else await validate(tenant, snapshot, asked);
}

async function cancel(tenant: ChaosTenant, runId: string, asked: Asked): Promise<void> {
  await tenant.client.post(`/api/v1/runs/${runId}/cancel`, {}, created);
  asked.cancels += 1;
}

async function backUp(tenant: ChaosTenant, random: Random, asked: Asked): Promise<void> {
  const job = random.pick(tenant.jobs.flatMap((each) => new Array(each.weight).fill(each) as (typeof each)[]));
  asked.accepted.push((await tenant.client.post(`/api/v1/jobs/${job.id}/runs`, {}, created)).id);
}

async function restoreToDirectory(tenant: ChaosTenant, snapshotId: string, asked: Asked): Promise<void> {
  const path = join(tenant.restores, randomUUID());
  const body = { target: { type: 'directory', path } };
  const { run } = await tenant.client.post(`/api/v1/snapshots/${snapshotId}/restore`, body, restoreAnswer);
  asked.accepted.push(run.id);
  asked.restores.set(run.id, { path, snapshotId });
}

async function restoreToExport(tenant: ChaosTenant, snapshotId: string, random: Random, asked: Asked): Promise<void> {
  const body = { target: { type: 'export', format: random.pick(['tar.zst', 'zip']) } };
  const { run } = await tenant.client.post(`/api/v1/snapshots/${snapshotId}/restore`, body, restoreAnswer);
  asked.accepted.push(run.id);
}

async function validate(tenant: ChaosTenant, snapshotId: string, asked: Asked): Promise<void> {
  asked.accepted.push((await tenant.client.post(`/api/v1/snapshots/${snapshotId}/validate`, {}, created)).id);
}
