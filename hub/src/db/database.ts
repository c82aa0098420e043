import type { Logger } from '@xvault/shared/logging.ts';
import type { Kysely } from 'kysely';
import { openPglite } from './pglite.ts';
import { openPostgres } from './postgres.ts';
import type { Database } from './schema.ts';

export interface OpenDatabase {
  readonly db: Kysely<Database>;
  readonly kind: 'postgres' | 'pglite';
  /**
   * Calls `onPayload` for each NOTIFY on the channel; resolves with a function that ends it. An empty payload means that the
   * connection was lost for a while: notifications may have been missed.
   */
  listen(channel: string, onPayload: (payload: string) => void): Promise<() => Promise<void>>;
  /** Ends listeners, waits for queries under way, closes connections. May be called twice. */
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly logger: Logger;
  /** Connections at most, PostgreSQL only. */
  readonly poolSize?: number;
  /** After so long without a statement a transaction is ended by the server, PostgreSQL only. */
  readonly idleInTransactionMs?: number;
}

/**
 * Opens `postgres://…` or `pglite:///absolute/folder` (`pglite://memory` for a database that ends with the process). On both, int8
 * is a number, timestamptz a Date, jsonb parsed.
 */
export async function openDatabase(url: string, options: DatabaseOptions): Promise<OpenDatabase> {
  if (url === 'pglite://memory') return openPglite(undefined, options);
  if (url.startsWith('pglite:///')) return openPglite(decodeURIComponent(new URL(url).pathname), options);
  if (/^postgres(ql)?:\/\//.test(url)) return openPostgres(url, options);
  throw new Error('a database URL starts with postgres:// or pglite:///');
}
