import type { CompressPool } from '../artifact/compress-pool.ts';
import type { WorkerConfig } from '../config.ts';
import type { ExportShelf } from '../downloads/export-shelf.ts';
import type { RestoreJournal } from '../engines/archive/restore-journal.ts';
import type { SnapshotStorage } from '../storage/storage.ts';
import type { SourceConnector } from './source-connector.ts';

/** What the handlers of one worker process share. */
export interface HandlerDeps {
  readonly config: WorkerConfig;
  readonly storage: SnapshotStorage;
  readonly shelf: ExportShelf;
  /** What restores to directories have begun. */
  readonly journal: RestoreJournal;
  readonly workerId: string;
  readonly pool: CompressPool;
  readonly sources: SourceConnector;
}
