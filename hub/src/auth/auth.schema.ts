import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';

export const email = z.email().max(254);
export const newPassword = z.string().min(12).max(1024);

export const loginBody = z.strictObject({
  email,
  password: z.string().min(1).max(1024),
  /** For which tenant the token is; without it that of a user who has only one. */
  tenant_id: idSchema.optional(),
});

const user = z.strictObject({ id: idSchema, email: z.string(), platform_role: z.literal('operator').nullable() });
const role = z.enum(['owner', 'admin', 'operator', 'viewer']);
const tenants = z.array(z.strictObject({ id: idSchema, name: z.string(), role }));

export const loginView = z.strictObject({
  access_token: z.string(),
  token_type: z.literal('Bearer'),
  /** Seconds. */
  expires_in: z.int(),
  user,
  tenant_id: idSchema.nullable(),
  tenants,
});

export const meView = z.strictObject({ user, tenant_id: idSchema.nullable(), role: role.nullable(), tenants });
