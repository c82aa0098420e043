import type { SourceConnection } from '@xvault/shared/sources.ts';
import type { Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import { invalidField } from '../http/problem.ts';
import { findConnectionShared } from './connections.repository.ts';

/**
 * Throws BAD_REQUEST when the source names a connection that is not the tenant's or is of another provider. It is kept from deletion
 * until the transaction ends.
 */
export async function requireConnection(
  trx: Transaction<Database>,
  tenantId: string,
  { type, config }: Pick<SourceConnection, 'type' | 'config'>,
): Promise<void> {
  if (!('connection_id' in config) || config.connection_id === null) return;
  const connection = await findConnectionShared(trx, tenantId, config.connection_id);
  if (connection?.provider === type) return;
  throw invalidField('config.connection_id', 'there is no such connection');
}
