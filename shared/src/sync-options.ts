import { z } from 'zod';
import { glob } from './archive-options.ts';

/**
 * `sync`: `current/` follows the source, what it replaces or removes is kept under `versions/`. `copy`: as sync, but nothing is
 * removed from `current/`. `mirror`: `current/` follows the source and nothing is kept.
 */
export const syncModes = ['sync', 'copy', 'mirror'] as const;
export type SyncMode = (typeof syncModes)[number];

/** Options of the sync engine. */
export const syncOptions = z
  .strictObject({
    mode: z.enum(syncModes).default('sync'),
    /** `mirror` loses what the source loses: it must be asked for twice. */
    mirror_confirmed: z.boolean().default(false),
    /** Contents and names are encrypted by rclone's crypt, with a password of the job's own. */
    encryption: z.boolean().default(false),
    /** Patterns as in .gitignore; what a saved job's may not be is said by `syncPatternFaults`. */
    include: z.array(glob).max(1000).default([]),
    exclude: z.array(glob).max(1000).default([]),
    /** A run that would remove more objects than this, or than this share of those at the destination, stops before it does. */
    max_delete_count: z.int().min(0).nullable().default(null),
    max_delete_percent: z.int().min(0).max(100).default(50),
    /** Objects moved, and compared, at a time. */
    transfers: z.int().min(1).max(64).default(4),
    checkers: z.int().min(1).max(128).default(8),
    /** Compare by checksum instead of size and time, where both sides have one. */
    checksum: z.boolean().default(false),
    bandwidth_limit_bps: z.int().min(1024).nullable().default(null),
  })
  .refine(({ mode, mirror_confirmed }) => mode !== 'mirror' || mirror_confirmed, {
    message: 'set mirror_confirmed: a mirror keeps nothing that the source has lost',
    path: ['mirror_confirmed'],
  });
export type SyncOptions = z.infer<typeof syncOptions>;

/** Password and salt of rclone's crypt, as a customer would give them to rclone. */
export const cryptSecret = z.strictObject({
  password: z.string().min(16).max(1024),
  salt: z.string().min(16).max(1024),
});
export type CryptSecret = z.infer<typeof cryptSecret>;
