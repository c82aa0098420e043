import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';

export const workerView = z.strictObject({
  id: idSchema,
  name: z.string(),
  kind: z.enum(['fleet', 'agent']),
  pool: z.string(),
  capabilities: z.array(z.string()),
  public_url: z.string().nullable(),
  host: z.string().nullable(),
  version: z.string().nullable(),
  slots: z.int(),
  slots_in_use: z.int(),
  load_1m: z.number().nullable(),
  disk_free_bytes: z.int().nullable(),
  disk_total_bytes: z.int().nullable(),
  status: z.enum(['active', 'draining', 'offline']),
  registered_at: z.iso.datetime().nullable(),
  last_seen_at: z.iso.datetime().nullable(),
  created_at: z.iso.datetime(),
});
export const workerPage = pageOf(workerView);
