import { keyTypes, recipientType } from '@xvault/shared/recipients.ts';
import { z } from 'zod';

const type = z.enum(keyTypes);
const recipient = z
  .string()
  .max(4096)
  .refine((text) => recipientType(text) !== undefined, 'must be an age recipient: age1… or age1pq1…');
/** Each is in the header of every file, so there is an end. */
const extraRecipients = z.array(recipient).max(16);

export const rotateBody = z.strictObject({
  /** Of the new key; without it the same as now. */
  type: type.optional(),
});

export const customerKeyBody = z.strictObject({
  /** New snapshots are encrypted to it; the platform never has the identity that belongs to it. */
  recipient,
  /** Replaces the extra recipients; without it they stay. */
  extra_recipients: extraRecipients.optional(),
});
export type CustomerKey = z.infer<typeof customerKeyBody>;

export const extraRecipientsBody = z.strictObject({
  /** Who can open new snapshots as well: an offline key for emergencies, an auditor. */
  recipients: extraRecipients,
});

export const forgetBody = z.strictObject({ recipient: z.string().min(1).max(4096) });

const key = z.strictObject({
  recipient: z.string(),
  type: type.nullable(),
  /** `platform` can open snapshots that are encrypted to it. */
  held_by: z.enum(['platform', 'customer']),
  since: z.iso.datetime(),
  retired_at: z.iso.datetime().nullable(),
  /** That are encrypted to it. */
  snapshots: z.int(),
});

export const keysView = z.strictObject({
  /** New snapshots are encrypted to it, and to the extra recipients. */
  present: key,
  extra_recipients: z.array(z.strictObject({ recipient: z.string(), type: type.nullable(), snapshots: z.int() })),
  earlier: z.array(key),
  /** Snapshots that are encrypted to other recipients than the present ones. */
  snapshots_to_rewrap: z.int(),
});
export type KeysView = z.infer<typeof keysView>;

export const rewrapAccepted = z.strictObject({
  run_ids: z.array(z.string()),
  /** Snapshots that the platform has no key for: their owner must restore and back them up anew. */
  unreadable: z.int(),
  /** Whether there are more than one request takes: ask again. */
  more: z.boolean(),
});
