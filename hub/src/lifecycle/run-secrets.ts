import type { Kysely, Transaction } from 'kysely';
import type { Database } from '../db/schema.ts';

/** What a customer gave for one run alone, sealed to the vault recipient. */
export async function insertRunSecret(
  trx: Transaction<Database>,
  runId: string,
  identitySealed: string,
): Promise<void> {
  await trx.insertInto('run_secrets').values({ run_id: runId, identity_sealed: identitySealed }).execute();
}

/** What a source that is not saved is signed in to with, sealed to the credentials recipient. */
export async function insertRunSourceSecret(
  trx: Transaction<Database>,
  runId: string,
  secretSealed: string,
): Promise<void> {
  await trx.insertInto('run_secrets').values({ run_id: runId, source_secret_sealed: secretSealed }).execute();
}

/** Its run has ended. */
export async function deleteRunSecret(db: Kysely<Database>, runId: string): Promise<void> {
  await db.deleteFrom('run_secrets').where('run_id', '=', runId).execute();
}

/** Those whose runs have ended all the same. Returns how many there were. */
export async function deleteLeftRunSecrets(db: Kysely<Database>): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('run_secrets')
    .where('run_id', 'in', (query) =>
      query
        .selectFrom('runs')
        .innerJoin('run_secrets as secret', 'secret.run_id', 'runs.id')
        .select('runs.id')
        .where('runs.status', 'not in', ['queued', 'dispatched', 'running']),
    )
    .executeTakeFirstOrThrow();
  return Number(numDeletedRows);
}
