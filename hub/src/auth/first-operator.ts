import { newId } from '@xvault/shared/ids.ts';
import type { Kysely } from 'kysely';
import { writeAudit } from '../audit/audit.ts';
import type { Database } from '../db/schema.ts';
import { hashPassword } from './password.ts';
import { findUserByEmail, insertUser } from './users.repository.ts';

/** Makes the operator unless the address is known; an existing user, and its password, stays as it is. True when made. */
export async function ensureFirstOperator(db: Kysely<Database>, email: string, password: string): Promise<boolean> {
  if ((await findUserByEmail(db, email)) !== undefined) return false;
  const passwordHash = await hashPassword(password);
  return db.transaction().execute(async (trx) => {
    const id = newId();
    const made = await insertUser(trx, { id, email, passwordHash, platformRole: 'operator' });
    if (made) {
      await writeAudit(
        trx,
        { userId: null, address: null },
        { tenantId: null, action: 'user.create', objectType: 'user', objectId: id },
      );
    }
    return made;
  });
}
