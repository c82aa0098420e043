import type { CompressPool } from '../artifact/compress-pool.ts';
import type { WorkerConfig } from '../config.ts';
import type { ExportShelf } from '../downloads/export-shelf.ts';
import type { BrowseCache } from '../engines/archive/browse-cache.ts';
import type { RestoreJournal } from '../engines/archive/restore-journal.ts';
import type { HubClient } from '../lanes/hub-client.ts';
import type { AddressGuard } from '../net/guard.ts';
import type { SnapshotStorage } from '../storage/storage.ts';
import type { SourceConnector } from './source-connector.ts';
import type { TargetConnecting } from './target-connector.ts';

/** What the handlers of one worker process share. */
export interface HandlerDeps {
  readonly config: WorkerConfig;
  /** Keeps runs from addresses that are not for customers. */
  readonly guard: AddressGuard;
  /** This worker's disk. */
  readonly storage: SnapshotStorage;
  readonly hub: Pick<HubClient, 'storageLive'>;
  readonly shelf: ExportShelf;
  /** What restores to directories have begun. */
  readonly journal: RestoreJournal;
  /** Of the indexes that were browsed last. */
  readonly browseCache: BrowseCache;
  readonly workerId: string;
  readonly pool: CompressPool;
  readonly sources: SourceConnector;
  readonly targets: TargetConnecting;
}
