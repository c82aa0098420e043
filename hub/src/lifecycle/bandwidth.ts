import type { HeartbeatResponse, StartResponse } from '@xvault/shared/internal-api.ts';
import type { RunKind } from '@xvault/shared/run-kinds.ts';
import { type Kysely, sql } from 'kysely';
import type { HubConfig } from '../config.ts';
import type { Database } from '../db/schema.ts';
import { platformKey } from '../settings/settings.repository.ts';
import { configuredLimit } from '../settings/settings.service.ts';

/** Runs that share a limit; the others move next to nothing of a customer's. */
const sharingKinds: readonly RunKind[] = ['backup', 'restore'];
/** Limits follow changes this late. */
const keptMs = 2_000;

interface Shares {
  readonly platformBps: number | null;
  readonly platformRuns: number;
  /** Limit and number of running runs of each tenant that has a limit. */
  readonly tenants: ReadonlyMap<string, { readonly limitBps: number; readonly runs: number }>;
  /** Tenant of each running run that some limit is for. */
  readonly runs: ReadonlyMap<string, string>;
}

/**
 * What each run may read or write in a second: the platform's limit by all running backups and restores, and the tenant's by
 * its own, whichever share is smaller. One query for all, kept for two seconds by each Hub.
 */
export class BandwidthShares {
  readonly #db: Kysely<Database>;
  readonly #config: Pick<HubConfig, 'bandwidthLimitBps'>;
  #kept: { readonly shares: Promise<Shares>; readonly untilMs: number } | undefined;

  constructor(db: Kysely<Database>, config: Pick<HubConfig, 'bandwidthLimitBps'>) {
    this.#db = db;
    this.#config = config;
  }

  /** The answer to a start, with the run's share in it. */
  async started(answer: StartResponse): Promise<StartResponse> {
    if (!sharingKinds.includes(answer.kind)) return answer;
    const shares = await this.#shares();
    // What was kept may be older than the run.
    const more = shares.runs.has(answer.run_id) ? 0 : 1;
    return { ...answer, bandwidth_limit_bps: shareOf(shares, answer.tenant_id, more) };
  }

  /** The answer to a heartbeat, with the shares of its runs as they are now. */
  async beaten(answer: HeartbeatResponse): Promise<HeartbeatResponse> {
    if (answer.runs.length === 0) return answer;
    const shares = await this.#shares();
    const isLimited = shares.platformBps !== null || shares.tenants.size > 0;
    const runs = answer.runs.map((run) => {
      if (run.action === 'superseded') return run;
      const tenantId = shares.runs.get(run.run_id);
      if (tenantId !== undefined) return { ...run, bandwidth_limit_bps: shareOf(shares, tenantId, 0) };
      // A run that is younger than what was kept goes on with what it was given at its start.
      return isLimited ? run : { ...run, bandwidth_limit_bps: null };
    });
    return { ...answer, runs };
  }

  #shares(): Promise<Shares> {
    const nowMs = performance.now();
    if (this.#kept === undefined || nowMs >= this.#kept.untilMs) {
      const shares = readShares(this.#db, configuredLimit(this.#config));
      this.#kept = { shares, untilMs: nowMs + keptMs };
      // A failure is told to those who wait for it now, and not kept.
      shares.catch(() => {
        this.#kept = undefined;
      });
    }
    return this.#kept.shares;
  }
}

function shareOf(shares: Shares, tenantId: string, more: number): number | null {
  const tenant = shares.tenants.get(tenantId);
  const parts = [
    ...(shares.platformBps === null ? [] : [shares.platformBps / (shares.platformRuns + more)]),
    ...(tenant === undefined ? [] : [tenant.limitBps / (tenant.runs + more)]),
  ];
  return parts.length === 0 ? null : Math.max(1, Math.floor(Math.min(...parts)));
}

async function readShares(db: Kysely<Database>, configuredBps: number | null): Promise<Shares> {
  const { rows } = await sql<{
    platform_bps: number | string | null;
    tenants: Record<string, number>;
    runs: Record<string, string>;
  }>`
    with platform as (
      select case when exists (select from settings where key = ${platformKey})
        then (select (value ->> 'bandwidth_limit_bps')::bigint from settings where key = ${platformKey})
        else ${configuredBps}::bigint end as bps),
    limited as (select id, bandwidth_limit_bps from tenants where bandwidth_limit_bps is not null)
    select
      (select bps from platform) as platform_bps,
      (select coalesce(jsonb_object_agg(id, bandwidth_limit_bps), '{}'::jsonb) from limited) as tenants,
      (select coalesce(jsonb_object_agg(id, tenant_id), '{}'::jsonb) from runs
        where status = 'running' and kind in (${sql.join(sharingKinds)})
          and ((select bps from platform) is not null or tenant_id in (select id from limited))) as runs
  `.execute(db);
  const [row] = rows;
  if (row === undefined) throw new Error('no answer about bandwidth limits');
  const runs = new Map(Object.entries(row.runs));
  const counts = new Map<string, number>();
  for (const tenantId of runs.values()) counts.set(tenantId, (counts.get(tenantId) ?? 0) + 1);
  return {
    platformBps: row.platform_bps === null ? null : Number(row.platform_bps),
    platformRuns: runs.size,
    tenants: new Map(
      Object.entries(row.tenants).map(([id, limitBps]) => [id, { limitBps, runs: counts.get(id) ?? 0 }]),
    ),
    runs,
  };
}
