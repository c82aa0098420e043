import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';

export const exportView = z.strictObject({
  id: idSchema,
  snapshot_id: idSchema,
  /** The restore that makes it. */
  run_id: idSchema,
  format: z.string(),
  status: z.enum(['pending', 'ready', 'failed', 'expired']),
  file_name: z.string().nullable(),
  size_bytes: z.int().nullable(),
  sha256: z.string().nullable(),
  expires_at: z.iso.datetime(),
  created_at: z.iso.datetime(),
});
export const exportPage = pageOf(exportView);

export const linkView = z.strictObject({
  /** Works once. */
  url: z.url(),
  expires_at: z.iso.datetime(),
});
