import { CompressPool } from '../artifact/compress-pool.ts';
import { handleBackup } from './backup.ts';
import type { HandlerDeps } from './deps.ts';
import type { Handlers } from './handler.ts';
import { handleProbe } from './probe.ts';
import { handleRestore } from './restore.ts';
import { handleRetention } from './retention.ts';
import { createSourceConnector } from './source-connector.ts';
import { handleValidation } from './validation.ts';

export type HandlerOptions = Omit<HandlerDeps, 'pool' | 'sources'>;

/** The one table of handlers, and what must be closed after the last run. */
export function createHandlers(options: HandlerOptions): { table: Handlers; close(): Promise<void> } {
  const threads = options.config.XVAULT_COMPRESSION_THREADS;
  const pool = threads === 0 ? new CompressPool() : new CompressPool(threads);
  const deps: HandlerDeps = { ...options, pool, sources: createSourceConnector(options.config) };
  return {
    table: {
      backup: (context) => handleBackup(context, deps),
      restore: (context) => handleRestore(context, deps),
      validation: (context) => handleValidation(context, deps),
      retention: (context) => handleRetention(context, deps),
      probe: (context) => handleProbe(context, deps),
    },
    close: () => pool.close(),
  };
}
