import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { rewrapSnapshot } from '../engines/archive/rewrap.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { accessSnapshot } from './open-snapshot.ts';
import { statusReporter } from './progress-reporter.ts';
import { sweepBucket } from './sweep-bucket.ts';

const progressEventMs = 2_000;

/**
 * Gives a snapshot to other recipients. The copy lies beside the old one, under the id that the Hub gave this attempt;
 * the old one stays until the Hub has taken the copy's place into its books.
 */
export async function handleMaintenance(
  context: RunContext<'maintenance'>,
  deps: HandlerDeps,
): Promise<ResultInput<'maintenance'>> {
  const { start, signal } = context;
  const { task } = context.spec;
  const ref = task.snapshot;
  if (start.snapshot_id === null) throw new Error('the Hub gave no id for the copy of a snapshot');
  const access = await accessSnapshot(start, ref, deps, signal);
  if (access.objects !== null) await sweepBucket(context, deps, access.storage);
  const target = { ...access.place, snapshotId: start.snapshot_id };
  const report = statusReporter(context, progressEventMs);
  const bytesTotal = ref.artifact_bytes + ref.index_bytes;
  const made = await rewrapSnapshot({
    ...access,
    target,
    epoch: start.epoch,
    ref,
    recipients: task.recipients,
    signal,
    onProgress: (bytesDone) => report({ filesDone: 0, filesTotal: null, bytesDone, bytesTotal, currentItem: null }),
  });
  context.emit({
    type: 'summary',
    level: 'info',
    code: 'SNAPSHOT_REWRAPPED',
    message_id: 'snapshot_rewrapped',
    params: { recipients: task.recipients.length, bytes: bytesTotal },
  });
  return {
    kind: 'maintenance',
    task: {
      type: 'rewrap',
      locator: await access.locatorOf(target),
      artifact_bytes: made.artifact.sizeBytes,
      artifact_sha256: made.artifact.sha256,
      index_bytes: made.index.sizeBytes,
      index_sha256: made.index.sha256,
      manifest_bytes: made.manifest.sizeBytes,
      manifest_sha256: made.manifest.sha256,
      encryption: { algorithm: 'age', recipients: task.recipients },
    },
  };
}
