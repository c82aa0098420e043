import { XVaultError } from '@xvault/shared/errors.ts';
import type { NotesRequest } from '@xvault/shared/internal-api.ts';
import { type Kysely, sql, type Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';
import { holdsLease } from '../lifecycle/lease-token.ts';
import { toPgJson } from '../lifecycle/pg-text.ts';
import { lockRun } from '../lifecycle/states.ts';

/** Keeps what a worker says beside its result, while it holds the lease. Throws ATTEMPT_SUPERSEDED. */
export async function keepNotes(
  db: Kysely<Database>,
  workerId: string,
  runId: string,
  { epoch, lease_token, diagnostics, connection }: NotesRequest,
): Promise<{ generation: number | null }> {
  return db.transaction().execute(async (trx) => {
    const run = await lockRun(trx, runId);
    if (run === undefined || !holdsLease(run, workerId, { epoch, lease_token })) {
      throw new XVaultError('ATTEMPT_SUPERSEDED', { detail: `run ${runId} is not held under epoch ${epoch}` });
    }
    if (diagnostics !== undefined) {
      const added = toPgJson(diagnostics);
      await trx
        .updateTable('runs')
        .set({ diagnostics: sql`coalesce(diagnostics, '{}'::jsonb) || ${added}::jsonb` })
        .where('id', '=', runId)
        .execute();
    }
    return { generation: connection === undefined ? null : await keepConnection(trx, run.tenant_id, connection) };
  });
}

/** A token that was renewed from an older one than is there now is dropped: the newer one is the one that works. */
async function keepConnection(
  trx: Transaction<Database>,
  tenantId: string,
  connection: NonNullable<NotesRequest['connection']>,
): Promise<number | null> {
  const values =
    connection.status === 'active'
      ? {
          status: 'active' as const,
          token_sealed: connection.token_sealed,
          access_expires_at: connection.access_expires_at,
          generation: connection.generation + 1,
        }
      : { status: 'reauthorize' as const };
  const updated = await trx
    .updateTable('connections')
    .set({ ...values, updated_at: sql<Date>`now()` })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', connection.connection_id)
    .where('generation', '=', connection.generation)
    .where('status', '!=', 'deleted')
    .returning('generation')
    .executeTakeFirst();
  return updated?.generation ?? keptBefore(trx, tenantId, connection);
}

/** The generation of a token that was kept already, with an answer that got lost: each sealing is another text. */
async function keptBefore(
  trx: Transaction<Database>,
  tenantId: string,
  connection: NonNullable<NotesRequest['connection']>,
): Promise<number | null> {
  if (connection.status !== 'active') return null;
  const kept = await trx
    .selectFrom('connections')
    .select('generation')
    .where('tenant_id', '=', tenantId)
    .where('id', '=', connection.connection_id)
    .where('generation', '=', connection.generation + 1)
    .where('token_sealed', '=', connection.token_sealed)
    .executeTakeFirst();
  return kept?.generation ?? null;
}
