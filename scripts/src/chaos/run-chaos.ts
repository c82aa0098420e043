import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { type Random, seededRandom } from '../cluster/random.ts';
import { queryOf } from './checks/database.ts';
import type { Findings, Query } from './checks/finding.ts';
import { overLimit } from './checks/over-limit.ts';
import { leakedProcesses } from './checks/processes.ts';
import { badRestores, unrestorable } from './checks/restorable.ts';
import { attemptEnds, duplicateCommits, lostRuns, nonTerminal, slotsHeld } from './checks/runs.ts';
import { orphans, publishedTwice } from './checks/storage.ts';
import { dealFaults, faultKinds } from './deck.ts';
import type { DealtFault } from './fault.ts';
import { untilNone } from './quiet.ts';
import type { ChaosReport, Problems } from './report.ts';
import { strikeAll } from './strike.ts';
import { type ChaosTenant, liftLimits, makeTenants } from './tenants.ts';
import { type Asked, beCustomer, nothingAsked } from './workload.ts';

export interface ChaosOptions {
  readonly faults: number;
  readonly seed: number;
  /** Size of the largest source. */
  readonly largestBytes: number;
  /** An empty folder for all of it. */
  readonly workDir: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const customersPerTenant = 2;
const volumeBytes = 2 * 2 ** 30;
const startLimitMs = 60_000;
/** After the last fault: for runs to end, and for what is left over to be swept. */
const quietLimitMs = 180_000;
const sweepLimitMs = 45_000;

/** Strikes a real cluster under load, lets it come to rest, and looks at what must hold. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
  const { seed, workDir, say, signal } = options;
  const startedMs = performance.now();
  const random = seededRandom(seed);
  const [local, restores] = [join(workDir, 'sources'), join(workDir, 'restores')];
  for (const folder of [local, restores]) await mkdir(folder, { mode: 0o755 });
  say(`seed ${seed}: starting PostgreSQL, Redis, 2 Hubs, 3 workers, sshd`);
  const roots = { localRoots: [local], restoreRoots: [restores] };
  const cluster = await startCluster({ root: workDir, random: random.fork(), volumeBytes, ...roots });
  try {
    await cluster.ready(startLimitMs);
    const tenants = await makeTenants(cluster, { local, restores }, options.largestBytes, signal);
    for (const tenant of tenants) await mkdir(tenant.restores, { mode: 0o755 });
    const faults = dealFaults(cluster, random.fork(), options.faults, signal);
    const asked = await strikeUnderLoad(cluster, tenants, faults, random.fork(), options);
    const found = await inspect(cluster, tenants, asked, restores, options);
    return {
      seed,
      faults: count(faults.map((fault) => fault.kind)),
      missingFaults: faultKinds.filter(
        (kind) => options.faults >= faultKinds.length && faults.every((fault) => fault.kind !== kind),
      ),
      seconds: Math.round((performance.now() - startedMs) / 1000),
      internalErrors: tenants.flatMap((tenant) => tenant.client.internalErrors),
      ...found,
    };
  } finally {
    await cluster.stop();
  }
}

async function strikeUnderLoad(
  cluster: Cluster,
  tenants: readonly ChaosTenant[],
  faults: readonly DealtFault[],
  random: Random,
  { say, signal }: ChaosOptions,
): Promise<Asked> {
  const asked = nothingAsked();
  const enough = new AbortController();
  const stop = AbortSignal.any([enough.signal, signal]);
  const customers = Promise.all(
    tenants.flatMap((tenant) =>
      Array.from({ length: customersPerTenant }, () => beCustomer(tenant, random.fork(), asked, stop)),
    ),
  );
  // Heard of below, or when the faults are over.
  customers.catch(() => undefined);
  const striking = strikeAll(faults, random.fork(), say, signal);
  await Promise.race([striking, customers.then(() => striking)]);
  enough.abort();
  await cluster.ready(startLimitMs);
  await customers;
  say(`faults over; ${asked.accepted.length} runs asked for, ${asked.cancels} cancelled`);
  return asked;
}

async function inspect(
  cluster: Cluster,
  tenants: readonly ChaosTenant[],
  asked: Asked,
  restores: string,
  { say, signal }: ChaosOptions,
): Promise<Pick<ChaosReport, 'runs' | 'attempts' | 'snapshotsRestored' | 'problems'>> {
  const query = queryOf(cluster.databaseUrl);
  const open = await untilNone(() => nonTerminal(query), quietLimitMs, signal);
  say('waiting for the sweepers');
  const problems: Omit<Problems, 'unrestorable' | 'crashes' | 'leakedProcesses'> = {
    nonTerminal: open,
    orphans: await untilNone(() => orphans(query, cluster.workers, restores), sweepLimitMs, signal),
    duplicateCommits: [...(await duplicateCommits(query)), ...(await publishedTwice(query, cluster.workers))],
    overLimit: await overLimit(query),
    lostRuns: await lostRuns(query, asked),
    slotsHeld: await untilNone(() => slotsHeld(query), sweepLimitMs, signal),
  };
  const runs = await runEnds(query);
  const attempts = await attemptEnds(query);
  say('restoring every snapshot');
  const bad = await badRestores(query, tenants, asked);
  await liftLimits(cluster, tenants, signal);
  const restored = await unrestorable(query, tenants, signal);
  const leaked: Findings = await untilNone(() => leakedProcesses(cluster), 10_000, signal);
  const crashes = [...cluster.hubs, ...cluster.workers.map((worker) => worker.part)].flatMap((part) => part.crashes);
  return {
    runs,
    attempts,
    snapshotsRestored: restored.checked,
    problems: { ...problems, unrestorable: [...bad, ...restored.findings], leakedProcesses: leaked, crashes },
  };
}

async function runEnds(query: Query): Promise<Record<string, number>> {
  const rows = await query<{ name: string; count: number }>(
    `select kind || ' ' || status as name, count(*)::int as count from runs group by 1 order by 1`,
  );
  return Object.fromEntries(rows.map(({ name, count: runs }) => [name, runs]));
}

function count(names: readonly string[]): Record<string, number> {
  return Object.fromEntries([...Map.groupBy(names, (name) => name)].map(([name, same]) => [name, same.length]));
}
