import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/schema.ts';
import type { Lanes, LaneTicket } from '../queues/lanes.ts';
import { dbNow } from './clock.ts';

const batchSize = 500;
/** Longer than a lane may take to answer; after it another Hub sends what this one did not finish. */
const claimMs = 15_000;

interface Row extends LaneTicket {
  readonly id: number;
}

/**
 * Hands waiting tickets to their lanes and gives their number. Rows go only when Redis has the tickets, so a crash in
 * between sends some twice: lanes ignore those. Several Hubs may do this at once. Rejects when Redis is away.
 */
export async function sendOutbox(db: Kysely<Database>, lanes: Lanes): Promise<number> {
  let sent = 0;
  for (;;) {
    const rows = await claim(db);
    if (rows.length === 0) return sent;
    const ids = rows.map((row) => row.id);
    try {
      await lanes.add(rows);
    } catch (error) {
      await db.updateTable('outbox').set({ claimed_until: null }).where('id', 'in', ids).execute();
      throw error;
    }
    await db.deleteFrom('outbox').where('id', 'in', ids).execute();
    sent += rows.length;
  }
}

/** A claim instead of an open transaction: Redis may take seconds to fail, and no row is to stay locked meanwhile. */
async function claim(db: Kysely<Database>): Promise<Row[]> {
  const { rows } = await sql<Row>`
    update outbox set claimed_until = ${dbNow(claimMs)}
    from runs
    where runs.id = outbox.run_id and outbox.id in (
      select id from outbox where claimed_until is null or claimed_until < now()
      order by id limit ${batchSize} for update skip locked)
    returning outbox.id, outbox.lane, outbox.run_id as "runId", outbox.attempt, runs.kind
  `.execute(db);
  return rows.sort((a, b) => a.id - b.id);
}
