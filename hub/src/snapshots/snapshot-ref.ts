import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { SnapshotRow } from '../db/schema.ts';

/** What a run's spec carries of a snapshot to read it back. */
export function toSnapshotRef(row: SnapshotRow): SnapshotRef {
  return {
    snapshot_id: row.id,
    source_id: row.source_id,
    locator: row.locator,
    artifact_bytes: row.artifact_bytes,
    artifact_sha256: row.artifact_sha256,
    index_bytes: row.index_bytes,
    index_sha256: row.index_sha256,
  };
}
