import { z } from 'zod';

const settings = {
  /** Bytes a second of all backups and restores together; null for no limit. */
  bandwidth_limit_bps: z.int().min(1024).nullable(),
};

export const settingsView = z.strictObject(settings);
export type SettingsView = z.infer<typeof settingsView>;
export const patchSettingsBody = z.strictObject(settings).partial();
export type PatchSettings = z.infer<typeof patchSettingsBody>;
