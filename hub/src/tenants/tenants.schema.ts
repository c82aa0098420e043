import { idSchema } from '@xvault/shared/ids.ts';
import { keyTypes } from '@xvault/shared/recipients.ts';
import { absolutePath } from '@xvault/shared/sources.ts';
import { z } from 'zod';
import { email, newPassword } from '../auth/auth.schema.ts';
import { pageOf } from '../http/pagination.ts';

const name = z.string().trim().min(1).max(255);
const localPaths = z.array(absolutePath).max(100);
const timezone = z.string().refine(isTimezone, 'must be a time zone of the IANA database, such as Europe/Berlin');
const limits = {
  /** Null for the platform's default. */
  max_concurrent_runs: z.int().min(1).max(10_000).nullable(),
  bandwidth_limit_bps: z.int().min(1).nullable(),
  weight: z.int().min(1).max(10_000),
};

export const createTenantBody = z.strictObject({
  name,
  /** Made together with the tenant. */
  owner: z.strictObject({ email, password: newPassword }).optional(),
  /** Roots on the workers' disks that this tenant's sources and restores may use. */
  local_paths: localPaths.default([]),
  max_concurrent_runs: limits.max_concurrent_runs.default(null),
  bandwidth_limit_bps: limits.bandwidth_limit_bps.default(null),
  weight: limits.weight.default(100),
  timezone: timezone.default('UTC'),
  /** Of the tenant's key: what is post-quantum can be opened by recent age programs only. */
  key_type: z.enum(keyTypes).default('x25519'),
});
export type CreateTenant = z.infer<typeof createTenantBody>;

export const patchTenantBody = z
  .strictObject({ name, status: z.enum(['active', 'suspended']), local_paths: localPaths, timezone, ...limits })
  .partial();
export type PatchTenant = z.infer<typeof patchTenantBody>;

export const tenantView = z.strictObject({
  id: idSchema,
  name: z.string(),
  status: z.enum(['active', 'suspended']),
  /** age recipient of the tenant's snapshots. */
  recipient: z.string(),
  /** Whether the platform can open them. */
  key_held_by: z.enum(['platform', 'customer']),
  local_paths: z.array(z.string()),
  ...limits,
  timezone: z.string(),
  owner_user_id: idSchema.nullable().optional(),
  created_at: z.iso.datetime(),
});
export const tenantPage = pageOf(tenantView.omit({ owner_user_id: true }));

function isTimezone(zone: string): boolean {
  try {
    new Intl.DateTimeFormat('en', { timeZone: zone });
    return true;
  } catch {
    return false;
  }
}
