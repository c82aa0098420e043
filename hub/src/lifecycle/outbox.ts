import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/schema.ts';
import type { Lanes, LaneTicket } from '../queues/lanes.ts';
import { dbNow } from './clock.ts';

const batchSize = 500;
/** Longer than a lane may take to answer; after it another Hub sends what this one did not finish. */
export const outboxClaimMs = 15_000;

/** A ticket with the row of the outbox that it comes from. */
export interface OutboxTicket extends LaneTicket {
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
    await sendTickets(db, lanes, rows);
    sent += rows.length;
  }
}

/** Hands claimed tickets to their lanes. Rejects when Redis is away; their claim is then given up. */
export async function sendTickets(db: Kysely<Database>, lanes: Lanes, tickets: readonly OutboxTicket[]): Promise<void> {
  if (tickets.length === 0) return;
  const ids = tickets.map((ticket) => ticket.id);
  try {
    await lanes.add(tickets);
  } catch (error) {
    await sql`update outbox set claimed_until = null where id = any(${ids}::bigint[])`.execute(db);
    throw error;
  }
  await sql`delete from outbox where id = any(${ids}::bigint[])`.execute(db);
}

/** A claim instead of an open transaction: Redis may take seconds to fail, and no row is to stay locked meanwhile. */
async function claim(db: Kysely<Database>): Promise<OutboxTicket[]> {
  const { rows } = await sql<OutboxTicket>`
    update outbox set claimed_until = ${dbNow(outboxClaimMs)}
    from runs
    where runs.id = outbox.run_id and outbox.id in (
      select id from outbox where claimed_until is null or claimed_until < now()
      order by id limit ${batchSize} for update skip locked)
    returning outbox.id, outbox.lane, outbox.run_id as "runId", outbox.attempt, runs.kind
  `.execute(db);
  return rows.sort((a, b) => a.id - b.id);
}
