import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import { z } from 'zod';
import { hasEnded, type RunView, runView } from '../../api/runs.ts';
import type { ChaosTenant } from '../tenants.ts';
import type { Asked } from '../workload.ts';
import type { Findings, Query } from './finding.ts';

interface SnapshotRow extends Record<string, unknown> {
  readonly id: string;
  readonly tenant_id: string;
  readonly job_id: string;
}

const restoreAnswer = z.object({ run: z.object({ id: z.string() }) });
/** Restores under way at once. */
const lanes = 6;
/** Nothing is in the way any more: what takes longer than this waits for nothing. */
const restoreLimitMs = 120_000;

/** Restores every committed snapshot through the API and compares it with its source, byte by byte. */
export async function unrestorable(
  query: Query,
  tenants: readonly ChaosTenant[],
  signal: AbortSignal,
): Promise<{ checked: number; findings: Findings }> {
  const snapshots = await query<SnapshotRow>(
    `select id, tenant_id, job_id from snapshots where status = 'committed' order by id`,
  );
  const waiting = [...snapshots];
  const findings: string[] = [];
  const work = async () => {
    for (let snapshot = waiting.shift(); snapshot !== undefined; snapshot = waiting.shift()) {
      findings.push(...(await restoreAndCompare(snapshot, tenants, signal)));
    }
  };
  await Promise.all(Array.from({ length: lanes }, work));
  return { checked: snapshots.length, findings };
}

async function restoreAndCompare(
  snapshot: SnapshotRow,
  tenants: readonly ChaosTenant[],
  signal: AbortSignal,
): Promise<string[]> {
  const { tenant, tree } = owner(snapshot, tenants);
  const path = join(tenant.restores, `check-${snapshot.id}`);
  const body = { target: { type: 'directory', path } };
  const { run } = await tenant.client.post(`/api/v1/snapshots/${snapshot.id}/restore`, body, restoreAnswer);
  const end = await endOf(tenant, run.id, signal);
  if (end === undefined) return [`snapshot ${snapshot.id}: the restore ${run.id} does not end`];
  if (end.status !== 'success') return [`snapshot ${snapshot.id}: the restore ${end.status}, ${end.error_code}`];
  return compareAndRemove(`snapshot ${snapshot.id}`, tree, path);
}

/** What customers restored in the middle of it all must be whole as well, if their run says that it succeeded. */
export async function badRestores(query: Query, tenants: readonly ChaosTenant[], asked: Asked): Promise<Findings> {
  const ended = await query<{ id: string } & SnapshotRow>(
    `select runs.id as run_id, snapshots.id, snapshots.tenant_id, snapshots.job_id
     from runs join snapshots on snapshots.id = runs.snapshot_id where runs.kind = 'restore' and runs.status = 'success'`,
  );
  const findings: string[] = [];
  for (const row of ended) {
    const restore = asked.restores.get(String(row.run_id));
    if (restore === undefined) continue;
    findings.push(...(await compareAndRemove(`restore ${row.run_id}`, owner(row, tenants).tree, restore.path)));
  }
  return findings;
}

async function compareAndRemove(what: string, tree: string, path: string): Promise<string[]> {
  try {
    const { differences } = await compareTrees(tree, path, { limit: 3 });
    await rm(path, { recursive: true, force: true });
    return differences.map((difference) => `${what}: ${difference}`);
  } catch (error) {
    return [`${what} cannot be compared: ${error instanceof Error ? error.message : String(error)}`];
  }
}

function owner(row: SnapshotRow, tenants: readonly ChaosTenant[]): { tenant: ChaosTenant; tree: string } {
  const tenant = tenants.find(({ id }) => id === row.tenant_id);
  const job = tenant?.jobs.find(({ id }) => id === row.job_id);
  if (tenant === undefined || job === undefined) throw new Error(`snapshot ${row.id} belongs to nobody`);
  return { tenant, tree: job.tree };
}

/** Undefined when it has not ended in good time. */
async function endOf({ client }: ChaosTenant, runId: string, signal: AbortSignal): Promise<RunView | undefined> {
  const deadline = performance.now() + restoreLimitMs;
  while (performance.now() < deadline) {
    const run = await client.get(`/api/v1/runs/${runId}`, runView);
    if (hasEnded(run)) return run;
    await sleep(100, undefined, { signal });
  }
  return undefined;
}
