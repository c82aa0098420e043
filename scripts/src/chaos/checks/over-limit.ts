import type { Findings, Query } from './finding.ts';

export interface Interval {
  readonly tenantId: string;
  readonly limit: number;
  /** Milliseconds since the epoch, with fractions. */
  readonly fromMs: number;
  readonly toMs: number;
}

/** Tenants that had more in flight at once than they may: a sweep over the beginnings and ends of their attempts. */
export function overLimitTenants(intervals: readonly Interval[]): Findings {
  const found: string[] = [];
  for (const [tenantId, own] of Map.groupBy(intervals, (interval) => interval.tenantId)) {
    const limit = own[0]?.limit ?? 0;
    const steps = own.flatMap(({ fromMs, toMs }) => [
      { atMs: fromMs, step: 1 },
      { atMs: toMs, step: -1 },
    ]);
    // What ends at the very moment at which another begins has made room for it.
    steps.sort((a, b) => a.atMs - b.atMs || a.step - b.step);
    let inFlight = 0;
    for (const { atMs, step } of steps) {
      inFlight += step;
      if (inFlight > limit && step > 0) {
        found.push(`tenant ${tenantId} had ${inFlight} of ${limit} in flight at ${new Date(atMs).toISOString()}`);
      }
    }
  }
  return found;
}

/** From the audit of admissions: every attempt since it was admitted until it was over. Connection tests do not count. */
export async function overLimit(query: Query): Promise<Findings> {
  const rows = await query<{ tenant_id: string; max_runs: number; from_ms: number; to_ms: number }>(
    `select runs.tenant_id, tenants.max_concurrent_runs as max_runs,
       extract(epoch from attempts.admitted_at)::float8 * 1000 as from_ms,
       extract(epoch from coalesce(attempts.ended_at, now()))::float8 * 1000 as to_ms
     from run_attempts attempts
     join runs on runs.id = attempts.run_id join tenants on tenants.id = runs.tenant_id
     where runs.kind <> 'probe'`,
  );
  return overLimitTenants(
    rows.map((row) => ({ tenantId: row.tenant_id, limit: row.max_runs, fromMs: row.from_ms, toMs: row.to_ms })),
  );
}
