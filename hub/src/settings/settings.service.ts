import type { Kysely } from 'kysely';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { HubConfig } from '../config.ts';
import type { Database } from '../db/schema.ts';
import { findPlatformSettings, savePlatformSettings } from './settings.repository.ts';
import type { PatchSettings, SettingsView } from './settings.schema.ts';

type Db = Kysely<Database>;
type Defaults = Pick<HubConfig, 'bandwidthLimitBps'>;

export async function getSettings(db: Db, defaults: Defaults): Promise<SettingsView> {
  return (await findPlatformSettings(db)) ?? { bandwidth_limit_bps: configuredLimit(defaults) };
}

/** What is changed here goes before the configuration from then on. */
export async function patchSettings(
  db: Db,
  defaults: Defaults,
  actor: Actor,
  body: PatchSettings,
): Promise<SettingsView> {
  return db.transaction().execute(async (trx) => {
    const before = await getSettings(trx, defaults);
    if (body.bandwidth_limit_bps === undefined) return before;
    const settings = { ...before, bandwidth_limit_bps: body.bandwidth_limit_bps };
    await savePlatformSettings(trx, settings);
    await writeAudit(trx, actor, { tenantId: null, action: 'settings.update', objectType: 'settings', details: body });
    return settings;
  });
}

/** 0 in the configuration is no limit. */
export function configuredLimit({ bandwidthLimitBps }: Defaults): number | null {
  return bandwidthLimitBps === 0 ? null : bandwidthLimitBps;
}
