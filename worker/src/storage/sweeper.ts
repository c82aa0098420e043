import type { Logger } from '@xvault/shared/logging.ts';
import type { HubClient } from '../lanes/hub-client.ts';
import type { SnapshotStorage, StoredItem } from './storage.ts';

export interface SweeperDeps {
  readonly storage: SnapshotStorage;
  readonly hub: Pick<HubClient, 'storageLive'>;
  readonly workerId: string;
  readonly logger: Logger;
  /** Set for a bucket, which other workers write to as well. */
  readonly shared?: boolean;
}

const batchSize = 500;

/**
 * Removes what dead attempts left in the storage. Only what the Hub names as removable goes: without its word nothing
 * is touched. Returns how many items were removed; throws when the Hub does not answer.
 */
export async function sweepStorage(deps: SweeperDeps): Promise<number> {
  let removed = 0;
  let batch: StoredItem[] = [];
  for await (const item of deps.storage.list()) {
    batch.push(item);
    if (batch.length < batchSize) continue;
    removed += await sweepBatch(batch, deps);
    batch = [];
  }
  return batch.length === 0 ? removed : removed + (await sweepBatch(batch, deps));
}

async function sweepBatch(items: readonly StoredItem[], deps: SweeperDeps): Promise<number> {
  const asked = items.map((item) => ({ snapshot_id: item.place.snapshotId, epoch: item.epoch }));
  const { removable } = await deps.hub.storageLive(deps.workerId, asked, deps.shared ?? false);
  const names = new Set(removable.map((item) => `${item.snapshot_id} ${item.epoch}`));
  let removed = 0;
  for (const item of items) {
    if (!names.has(`${item.place.snapshotId} ${item.epoch}`)) continue;
    if (item.epoch === null) await deps.storage.delete(item.place);
    else await deps.storage.deletePart(item.place, item.epoch);
    deps.logger.info({ snapshotId: item.place.snapshotId, epoch: item.epoch }, 'removed what a dead attempt left');
    removed += 1;
  }
  return removed;
}
