import type { Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { saveFailedProbe } from './probe-result.ts';
import { deleteRunSecret } from './run-secrets.ts';
import { settleValidation } from './validation.ts';

/** What follows from the end of a run for the objects that waited for it. */
export async function onRunEnded(trx: Transaction<Database>, run: RunRow): Promise<void> {
  await trx.deleteFrom('outbox').where('run_id', '=', run.id).execute();
  if (run.kind === 'restore' && run.status !== 'success' && run.status !== 'warning') {
    await trx
      .updateTable('exports')
      .set({ status: 'failed' })
      .where('run_id', '=', run.id)
      .where('tenant_id', '=', run.tenant_id)
      .where('status', '=', 'pending')
      .execute();
  }
  if (run.kind === 'restore' || run.kind === 'probe') await deleteRunSecret(trx, run.id);
  if (run.kind === 'validation') await settleValidation(trx, run);
  if (run.kind === 'probe' && run.status === 'failed') await saveFailedProbe(trx, run);
}
