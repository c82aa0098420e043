import { createHash } from 'node:crypto';
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
  readonly backup: Pick<BackupOptions, 'place' | 'epoch' | 'provenance'> & {
    readonly session: Pick<BackupOptions['session'], 'describe'>;
  };
  readonly snapshot: Omit<SnapshotResult, 'locator' | 'manifest_bytes' | 'manifest_sha256'>;
  readonly written: WrittenArtifact;
  readonly warningCount: number;
  readonly startedAt: Date;
  readonly finishedAt: Date;
}

/** Writes manifest.json and meta.json of a snapshot whose artifact and index are written; what the Hub is told of it all. */
export async function writeDescription(description: Description): Promise<Omit<SnapshotResult, 'locator'>> {
  const { pending } = description;
  const manifest = await writeJson(pending, snapshotFiles.manifest, manifestSchema.parse(manifestOf(description)));
  const snapshot = {
    ...description.snapshot,
    manifest_bytes: manifest.length,
    manifest_sha256: createHash('sha256').update(manifest).digest('hex'),
  };
  await writeJson(pending, snapshotFiles.meta, metaSchema.parse(metaOf(description, snapshot)));
  return snapshot;
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
    artifact: {
      name: snapshotFiles.artifact,
      size_bytes: artifact.sizeBytes,
      sha256: artifact.sha256,
      ...(artifact.payloadSha256 !== undefined && { payload_sha256: artifact.payloadSha256 }),
    },
    index: { name: snapshotFiles.index, size_bytes: index.sizeBytes, sha256: index.sha256 },
    frame_bytes: written.frameBytes,
    tar_bytes: written.tarBytes,
    entry_count: written.entryCount,
    file_count: written.fileCount,
    source_bytes: written.sourceBytes,
    warning_count: warningCount,
    encryption: { algorithm: 'age', recipients: snapshot.encryption.recipients },
    engine: { name: 'archive', version: engineVersion },
    versions: { node: process.versions.node },
    source: { ...backup.session.describe?.() },
  };
}

function metaOf({ backup, finishedAt }: Description, snapshot: Omit<SnapshotResult, 'locator'>): SnapshotMeta {
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

async function writeJson(
  pending: PendingSnapshot,
  name: SnapshotFileName,
  value: Manifest | SnapshotMeta,
): Promise<Buffer> {
  const file = await pending.createFile(name);
  const bytes = Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
  await file.write(bytes);
  await file.close();
  return bytes;
}
