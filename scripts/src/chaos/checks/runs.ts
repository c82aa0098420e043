import type { Asked } from '../workload.ts';
import type { Findings, Query } from './finding.ts';

const ended = `('success', 'warning', 'failed', 'cancelled')`;

export async function nonTerminal(query: Query): Promise<Findings> {
  const rows = await query<{ id: string; kind: string; status: string; attempt: number }>(
    `select id, kind, status, attempt from runs where status not in ${ended}`,
  );
  return rows.map((run) => `${run.kind} ${run.id} is ${run.status} (attempt ${run.attempt})`);
}

/** A run that was accepted and is not there, or one that nobody asked for: every request was repeated until it was answered. */
export async function lostRuns(query: Query, asked: Asked): Promise<Findings> {
  const runs = new Set((await query<{ id: string }>('select id from runs')).map((run) => run.id));
  const accepted = new Set(asked.accepted);
  return [
    ...[...accepted].filter((id) => !runs.has(id)).map((id) => `run ${id} was accepted and is gone`),
    ...[...runs].filter((id) => !accepted.has(id)).map((id) => `run ${id} was asked for by nobody`),
  ];
}

/** More than one completed attempt, or a backup that ended well without its one snapshot. */
export async function duplicateCommits(query: Query): Promise<Findings> {
  const twice = await query<{ run_id: string; count: number }>(
    `select run_id, count(*)::int as count from run_attempts where outcome = 'completed' group by run_id having count(*) > 1`,
  );
  const snapshots = await query<{ id: string; count: number }>(
    `select runs.id, count(snapshots.id)::int as count from runs left join snapshots on snapshots.run_id = runs.id
     where runs.kind = 'backup' group by runs.id, runs.status
     having count(snapshots.id) <> case when runs.status in ('success', 'warning') then 1 else 0 end`,
  );
  return [
    ...twice.map(({ run_id, count }) => `run ${run_id} has ${count} completed attempts`),
    ...snapshots.map(({ id, count }) => `backup ${id} has ${count} snapshots`),
  ];
}

export async function slotsHeld(query: Query): Promise<Findings> {
  const rows = await query<{ id: string; slots_in_use: number }>('select id, slots_in_use from workers');
  return rows.filter((row) => row.slots_in_use > 0).map((row) => `${row.id} counts ${row.slots_in_use} slots in use`);
}

/** How attempts ended, the cause included, and how often. */
export async function attemptEnds(query: Query): Promise<Record<string, number>> {
  const rows = await query<{ name: string; count: number }>(
    `select coalesce(outcome, 'open') || coalesce(' ' || error_code, '') as name, count(*)::int as count
     from run_attempts group by 1 order by 2 desc`,
  );
  return Object.fromEntries(rows.map(({ name, count }) => [name, count]));
}
