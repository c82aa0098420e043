import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';

export const createDestinationBody = z.discriminatedUnion('type', [
  z.strictObject({
    /** The disk of the worker that carries out the backup. */
    type: z.literal('local_fs'),
    name: z.string().trim().min(1).max(255),
    config: z.strictObject({}).default({}),
  }),
]);
export type CreateDestination = z.infer<typeof createDestinationBody>;

export const destinationView = z.strictObject({
  id: idSchema,
  name: z.string(),
  type: z.string(),
  config: z.record(z.string(), z.unknown()),
  has_secret: z.boolean(),
  created_at: z.iso.datetime(),
  updated_at: z.iso.datetime(),
});
export const destinationPage = pageOf(destinationView);
