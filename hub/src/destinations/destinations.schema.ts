import { destinationConfigs, destinationSecrets } from '@xvault/shared/destinations.ts';
import { idSchema } from '@xvault/shared/ids.ts';
import { z } from 'zod';
import { pageOf } from '../http/pagination.ts';

const name = z.string().trim().min(1).max(255);

/** `secret` is sealed on arrival; no answer ever holds it. */
export const createDestinationBody = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('local_fs'), name, config: destinationConfigs.local_fs.default({}) }),
  z.strictObject({ type: z.literal('s3'), name, config: destinationConfigs.s3, secret: destinationSecrets.s3 }),
  z.strictObject({ type: z.literal('platform_s3'), name, config: destinationConfigs.platform_s3.default({}) }),
  z.strictObject({ type: z.literal('sftp'), name, config: destinationConfigs.sftp, secret: destinationSecrets.sftp }),
]);
export type CreateDestination = z.infer<typeof createDestinationBody>;

/** `config` and `secret` replace the former ones whole and are checked by the destination's type. */
export const patchDestinationBody = z
  .strictObject({ name, config: z.record(z.string(), z.unknown()), secret: z.record(z.string(), z.unknown()) })
  .partial();
export type PatchDestination = z.infer<typeof patchDestinationBody>;

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
