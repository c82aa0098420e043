import type { SnapshotResult } from '@xvault/shared/snapshots.ts';
import type { WrittenArtifact } from '../../artifact/artifact-writer.ts';
import {
  type Manifest,
  manifestFormat,
  manifestSchema,
  manifestVersion,
  metaSchema,
  type SnapshotMeta,
} from '../../artifact/manifest.ts';
import { type PendingSnapshot, type SnapshotFileName, snapshotFiles } from '../../storage/storage.ts';
import type { BackupOptions } from './backup.ts';

/** Of this engine's way to lay out a snapshot. */
const engineVersion = '1';

export interface Description {
  readonly pending: PendingSnapshot;
  readonly backup: BackupOptions;
  readonly snapshot: Omit<SnapshotResult, 'locator'>;
  readonly written: WrittenArtifact;
  readonly warningCount: number;
  readonly startedAt: Date;
  readonly finishedAt: Date;
}

/** Writes manifest.json and meta.json of a snapshot whose artifact and index are on the disk. */
export async function writeDescription(description: Description): Promise<void> {
  const { pending } = description;
  await writeJson(pending, snapshotFiles.manifest, manifestSchema.parse(manifestOf(description)));
  await writeJson(pending, snapshotFiles.meta, metaSchema.parse(metaOf(description)));
}

function manifestOf({ backup, snapshot, written, warningCount, startedAt, finishedAt }: Description): Manifest {
  const { artifact, index } = written;
  return {
    format: manifestFormat,
    format_version: manifestVersion,
    snapshot_id: backup.place.snapshotId,
    tenant_id: backup.place.tenantId,
    source_id: backup.place.sourceId,
    job_id: backup.provenance.jobId,
    run_id: backup.provenance.runId,
    started_at: startedAt.toISOString(),
    finished_at: finishedAt.toISOString(),
    artifact: { name: snapshotFiles.artifact, size_bytes: artifact.sizeBytes, sha256: artifact.sha256 },
    index: { name: snapshotFiles.index, size_bytes: index.sizeBytes, sha256: index.sha256 },
    frame_bytes: written.frameBytes,
    tar_bytes: written.tarBytes,
    entry_count: written.entryCount,
    file_count: written.fileCount,
    source_bytes: written.sourceBytes,
    warning_count: warningCount,
    encryption: snapshot.encryption,
    engine: { name: 'archive', version: engineVersion },
    versions: { node: process.versions.node },
  };
}

function metaOf({ backup, snapshot, finishedAt }: Description): SnapshotMeta {
  return {
    format: 'xvault-snapshot-meta',
    format_version: 1,
    tenant_id: backup.place.tenantId,
    source_id: backup.place.sourceId,
    job_id: backup.provenance.jobId,
    run_id: backup.provenance.runId,
    attempt: backup.provenance.attempt,
    epoch: backup.epoch,
    worker_id: backup.provenance.workerId,
    destination_id: backup.provenance.destinationId,
    created_at: finishedAt.toISOString(),
    result: snapshot,
  };
}

async function writeJson(pending: PendingSnapshot, name: SnapshotFileName, value: Manifest | SnapshotMeta) {
  const file = await pending.createFile(name);
  await file.write(Buffer.from(`${JSON.stringify(value, null, 2)}\n`));
  await file.close();
}
