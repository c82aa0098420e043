import { goTogether } from './job-order.ts';
import type { Candidate } from './queue-model.ts';
import type { Room } from './room.ts';

/** What one run moves the virtual time of a tenant whose weight is 100 by: 1. */
export const runCost = 100;

export interface Admitted {
  readonly run: Candidate;
  readonly workerId: string | null;
}

export interface Choice {
  readonly admitted: readonly Admitted[];
  /** Tenants' virtual time after this. */
  readonly vtimes: ReadonlyMap<string, number>;
  /** The latest start of a run in virtual time: who comes later starts there, without credit for the time of its absence. */
  readonly clock: number;
}

/** Takes the candidates in their order as long as there is room for them. */
export function chooseRuns(candidates: readonly Candidate[], room: Room, clock: number): Choice {
  const admitted: Admitted[] = [];
  const vtimes = new Map<string, number>();
  let latest = clock;
  // What is in flight holds none of the candidates, but one that is admitted may hold the others of its job.
  const kindAt = new Map<string, string>();
  for (const run of candidates) {
    const { syncJobId: job } = run;
    const before = job === null ? undefined : kindAt.get(job);
    if (before !== undefined && !goTogether(before, run.kind)) continue;
    const placement = room.place(run, run.tenantLimit);
    if ('reason' in placement) continue;
    if (job !== null) kindAt.set(job, run.kind);
    room.take(run, placement.workerId);
    admitted.push({ run, workerId: placement.workerId });
    if (run.slot === 'control') continue;
    const start = vtimes.get(run.tenantId) ?? run.vtime;
    vtimes.set(run.tenantId, start + runCost / run.weight);
    latest = Math.max(latest, start);
  }
  return { admitted, vtimes, clock: latest };
}
