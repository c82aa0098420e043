import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import type { SnapshotRow } from '../db/schema.ts';
import type { DestinationRow } from '../destinations/destinations.repository.ts';
import { toDestinationConnection } from '../destinations/destinations.service.ts';

/** What a run's spec carries of a snapshot to read it back. */
export function toSnapshotRef(row: SnapshotRow, destination: DestinationRow): SnapshotRef {
  return {
    snapshot_id: row.id,
    source_id: row.source_id,
    locator: row.locator,
    artifact_bytes: row.artifact_bytes,
    artifact_sha256: row.artifact_sha256,
    index_bytes: row.index_bytes,
    index_sha256: row.index_sha256,
    manifest_bytes: row.manifest_bytes,
    manifest_sha256: row.manifest_sha256,
    destination_id: destination.id,
    destination: toDestinationConnection(destination),
    engine: row.locator.storage_backend === 'rclone' ? 'sync' : 'archive',
    job_id: row.job_id,
  };
}
