import type { SnapshotRef } from '@xvault/shared/snapshots.ts';
import { CompressPool } from '../artifact/compress-pool.ts';
import { BrowseCache } from '../engines/archive/browse-cache.ts';
import { createAddressGuard } from '../net/guard.ts';
import { handleBackup } from './backup.ts';
import type { HandlerDeps } from './deps.ts';
import type { Handlers } from './handler.ts';
import { handleMaintenance } from './maintenance.ts';
import { handleProbe } from './probe.ts';
import { handleRestore } from './restore.ts';
import { handleRetention } from './retention.ts';
import { createSourceConnector } from './source-connector.ts';
import { handleSyncBackup } from './sync-backup.ts';
import { handleSyncRestore, handleSyncRetention, handleSyncValidation } from './sync-snapshot.ts';
import { createTargetConnecting } from './target-connector.ts';
import { handleValidation } from './validation.ts';

export type HandlerOptions = Omit<HandlerDeps, 'pool' | 'guard' | 'sources' | 'targets' | 'browseCache'>;

/** The one table of handlers, and what must be closed after the last run. */
export function createHandlers(options: HandlerOptions): { table: Handlers; close(): Promise<void> } {
  const threads = options.config.XVAULT_COMPRESSION_THREADS;
  const pool = threads === 0 ? new CompressPool() : new CompressPool(threads);
  const guard = createAddressGuard({ allow: options.config.XVAULT_ALLOW_NETWORKS });
  const deps: HandlerDeps = {
    ...options,
    pool,
    guard,
    sources: createSourceConnector(options.config, guard),
    targets: createTargetConnecting(options.config),
    browseCache: new BrowseCache(),
  };
  return {
    table: {
      backup: (context) =>
        context.spec.engine === 'sync' ? handleSyncBackup(context, deps) : handleBackup(context, deps),
      restore: (context) => (isSync(context) ? handleSyncRestore(context, deps) : handleRestore(context, deps)),
      validation: (context) =>
        isSync(context) ? handleSyncValidation(context, deps) : handleValidation(context, deps),
      retention: (context) => (isSync(context) ? handleSyncRetention(context, deps) : handleRetention(context, deps)),
      probe: (context) => handleProbe(context, deps),
      maintenance: (context) => handleMaintenance(context, deps),
    },
    close: () => pool.close(),
  };
}

function isSync({ spec }: { readonly spec: { readonly snapshot: SnapshotRef } }): boolean {
  return spec.snapshot.engine === 'sync';
}
