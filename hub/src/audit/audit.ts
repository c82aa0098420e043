import type { FastifyRequest } from 'fastify';
import type { Kysely } from 'kysely';
import type { Database } from '../db/schema.ts';

/** Who did it, and from where; null for the platform itself. */
export interface Actor {
  readonly userId: string | null;
  readonly address: string | null;
}

export interface AuditEntry {
  readonly tenantId: string | null;
  /** `<object type>.<verb>`, such as `source.create`. */
  readonly action: string;
  readonly objectType?: string;
  readonly objectId?: string;
  /** Names and public values only, never a secret. */
  readonly details?: Readonly<Record<string, unknown>>;
}

export function actorOf(request: FastifyRequest): Actor {
  return { userId: request.principal?.userId ?? null, address: request.ip };
}

/** Call it in the transaction of the change, so that there is never one without the other. */
export async function writeAudit(db: Kysely<Database>, actor: Actor, entry: AuditEntry): Promise<void> {
  await writeAudits(db, actor, [entry]);
}

/** The same for many entries, in one statement. */
export async function writeAudits(db: Kysely<Database>, actor: Actor, entries: readonly AuditEntry[]): Promise<void> {
  if (entries.length === 0) return;
  await db
    .insertInto('audit_log')
    .values(entries.map((entry) => toRow(actor, entry)))
    .execute();
}

function toRow(actor: Actor, entry: AuditEntry) {
  return {
    tenant_id: entry.tenantId,
    user_id: actor.userId,
    action: entry.action,
    object_type: entry.objectType ?? null,
    object_id: entry.objectId ?? null,
    address: actor.address,
    details: entry.details === undefined ? null : JSON.stringify(entry.details),
  };
}
