import { type Kysely, sql } from 'kysely';
import type { Database, Role } from '../db/schema.ts';

type Db = Kysely<Database>;

export interface NewUser {
  readonly id: string;
  readonly email: string;
  readonly passwordHash: string;
  readonly platformRole: 'operator' | null;
}

/** False when the address is taken, in whatever letter case. */
export async function insertUser(db: Db, user: NewUser): Promise<boolean> {
  const { id, email, passwordHash: password_hash, platformRole: platform_role } = user;
  const inserted = await db
    .insertInto('users')
    .values({ id, email, password_hash, platform_role, last_login_at: null })
    .onConflict((conflict) => conflict.expression(sql`lower(email)`).doNothing())
    .returning('id')
    .executeTakeFirst();
  return inserted !== undefined;
}

export function insertMembership(db: Db, tenantId: string, userId: string, role: Role) {
  return db.insertInto('memberships').values({ tenant_id: tenantId, user_id: userId, role }).execute();
}

export function findUserByEmail(db: Db, email: string) {
  return db.selectFrom('users').selectAll().where(sql`lower(email)`, '=', email.toLowerCase()).executeTakeFirst();
}

export function touchLogin(db: Db, userId: string) {
  return db.updateTable('users').set({ last_login_at: sql<Date>`now()` }).where('id', '=', userId).execute();
}

/** Active tenants of the user, by name. */
export function listMemberships(db: Db, userId: string) {
  return db
    .selectFrom('memberships')
    .innerJoin('tenants', 'tenants.id', 'memberships.tenant_id')
    .select(['tenants.id', 'tenants.name', 'memberships.role'])
    .where('memberships.user_id', '=', userId)
    .where('tenants.status', '=', 'active')
    .orderBy('tenants.name')
    .orderBy('tenants.id')
    .execute();
}

export interface ActorKey {
  readonly userId: string;
  readonly tenantId: string | null;
}

/**
 * Users with the state of one tenant and of the membership in it, whose columns are null when there is none; undefined for
 * unknown users.
 */
export async function findActors(db: Db, keys: readonly ActorKey[]) {
  const { rows } = await sql<ActorRow & { place: number }>`
    select asked.place::int, users.email, users.status, users.platform_role, tenants.status as tenant_status, memberships.role
    from unnest(${keys.map((key) => key.userId)}::text[], ${keys.map((key) => key.tenantId)}::text[])
      with ordinality as asked(user_id, tenant_id, place)
    join users on users.id = asked.user_id
    left join tenants on tenants.id = asked.tenant_id
    left join memberships on memberships.tenant_id = tenants.id and memberships.user_id = users.id
  `.execute(db);
  const found = new Map(rows.map(({ place, ...row }) => [place, row]));
  return keys.map((_, index): ActorRow | undefined => found.get(index + 1));
}

export interface ActorRow {
  readonly email: string;
  readonly status: 'active' | 'disabled';
  readonly platform_role: 'operator' | null;
  readonly tenant_status: 'active' | 'suspended' | null;
  readonly role: Role | null;
}
