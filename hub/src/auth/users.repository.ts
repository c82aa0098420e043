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

/** The user with the state of one tenant and of the membership in it; their columns are null when there is none. */
export function findActor(db: Db, userId: string, tenantId: string | null) {
  return db
    .selectFrom('users')
    .leftJoin('tenants', (join) => join.on('tenants.id', '=', tenantId))
    .leftJoin('memberships', (join) =>
      join.onRef('memberships.tenant_id', '=', 'tenants.id').onRef('memberships.user_id', '=', 'users.id'),
    )
    .select([
      'users.email',
      'users.status',
      'users.platform_role',
      'tenants.status as tenant_status',
      'memberships.role',
    ])
    .where('users.id', '=', userId)
    .executeTakeFirst();
}
