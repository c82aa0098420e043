import type { z } from 'zod';
import type { SnapshotRow } from '../db/schema.ts';
import type { snapshotView } from './snapshots.schema.ts';

export function toSnapshotView(row: SnapshotRow): z.infer<typeof snapshotView> {
  return {
    id: row.id,
    source_id: row.source_id,
    job_id: row.job_id,
    run_id: row.run_id,
    destination_id: row.destination_id,
    status: row.status,
    locator: row.locator,
    entry_count: row.entry_count,
    file_count: row.file_count,
    source_bytes: row.source_bytes,
    tar_bytes: row.tar_bytes,
    stored_bytes: row.stored_bytes,
    artifact_bytes: row.artifact_bytes,
    artifact_sha256: row.artifact_sha256,
    index_bytes: row.index_bytes,
    index_sha256: row.index_sha256,
    encryption: row.encryption,
    warnings: row.warnings,
    validation_status: row.validation_status,
    validation_level: row.validation_level,
    validation_excerpt: row.validation_excerpt,
    verified_at: row.verified_at?.toISOString() ?? null,
    locked_until: row.locked_until?.toISOString() ?? null,
    created_at: row.created_at.toISOString(),
  };
}
