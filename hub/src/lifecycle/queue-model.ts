import type { RunKind, SlotClass } from '@xvault/shared/run-kinds.ts';
import type { RunRow } from '../db/schema.ts';

/** What decides where a run may go, and which limits it counts against. */
export interface RunToPlace {
  readonly tenantId: string;
  readonly kind: RunKind;
  readonly slot: SlotClass;
  /** Whether it needs free disk on its worker. */
  readonly writesDisk: boolean;
  readonly pool: string;
  readonly requiredWorkerId: string | null;
  /** `host:port` of the source, or the connection that it acts by. */
  readonly sourceHost: string | null;
  readonly destinationId: string | null;
}

/** A queued run that may go as far as the database can tell. */
export interface Candidate extends RunToPlace {
  readonly id: string;
  readonly epoch: number;
  /** The job of the sync engine at whose place it will be. */
  readonly syncJobId: string | null;
  readonly tenantLimit: number;
  readonly weight: number;
  /** Where the virtual time of its tenant stands. */
  readonly vtime: number;
}

/** Where a run goes: to a worker's own lane, or with null to its pool's; or why it cannot go now, in words. */
export type Placement = { readonly workerId: string | null } | { readonly reason: string };

/** Runs in flight that count alike. */
export interface InFlight {
  readonly tenantId: string;
  readonly pool: string;
  /** The worker that has it or must take it; null for a ticket in its pool's lane. */
  readonly workerId: string | null;
  readonly sourceHost: string | null;
  readonly destinationId: string | null;
  readonly count: number;
}

export function toPlace(row: RunRow): RunToPlace {
  return {
    tenantId: row.tenant_id,
    kind: row.kind as RunKind,
    slot: row.slot,
    writesDisk: row.writes_disk,
    pool: row.pool,
    requiredWorkerId: row.required_worker_id,
    sourceHost: row.source_host,
    destinationId: row.destination_id,
  };
}
