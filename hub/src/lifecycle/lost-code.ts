import type { ErrorCode } from '@xvault/shared/errors.ts';
import type { Kysely } from 'kysely';
import type { Database } from '../db/schema.ts';

/** What a run fails with whose worker has gone: an agent is its customer's, any other worker the platform's. */
export async function lostCode(db: Kysely<Database>, workerId: string | null): Promise<ErrorCode> {
  if (workerId === null) return 'WORKER_LOST';
  const worker = await db.selectFrom('workers').select('kind').where('id', '=', workerId).executeTakeFirst();
  return worker?.kind === 'agent' ? 'AGENT_OFFLINE' : 'WORKER_LOST';
}
