import { type ResultOf, runSpec, type SpecOf } from '@xvault/shared/run-kinds.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { sql, type Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { toPgJson } from './pg-text.ts';

/** What is kept of the last test of a source: `ok` and, by it, what was seen or what was wrong. */
type LastProbe = { readonly ok: boolean; readonly run_id: string; readonly at: string } & Record<string, unknown>;

/** Keeps what connection tests saw; pins the host key where none is pinned and the source still points to that host. */
export async function saveProbes(
  trx: Transaction<Database>,
  ends: readonly { readonly run: RunRow; readonly result: ResultOf<'probe'> }[],
): Promise<void> {
  const seen = new Map(
    ends.flatMap(({ run, result }) => {
      const row = toSeen(run, result);
      return row === null ? [] : [[row.id, row] as const];
    }),
  );
  if (seen.size === 0) return;
  // Locked in one order, for others may be doing the same.
  await sql`
    with locked as (
      select item.* from sources
      join jsonb_to_recordset(${toPgJson([...seen.values()])}::jsonb) as item(
        id text, tenant text, probe jsonb, key text, host text, port int)
        on sources.id = item.id and sources.tenant_id = item.tenant
      order by sources.id for no key update of sources)
    update sources set last_probe = locked.probe,
      host_key = case
        when locked.key is not null and coalesce(config->'ssh'->>'host', config->>'host') = locked.host
          and coalesce((config->'ssh'->>'port')::int, (config->>'port')::int, 22) = locked.port
        then coalesce(host_key, locked.key) else host_key end
    from locked where sources.id = locked.id
  `.execute(trx);
}

function toSeen(run: RunRow, result: ResultOf<'probe'>) {
  const probed = sourceOf(run);
  if (probed === null || result.probe.type !== 'source') return null;
  const { source_id: id } = probed;
  // What is not saved has nothing to keep it with: who asked reads it in the run's result.
  if (id === null) return null;
  const { type: _, ...seen } = result.probe;
  const probe: LastProbe = { ok: true, run_id: run.id, at: new Date().toISOString(), ...seen };
  const { source } = probed;
  const place = seen.host_key === null ? null : sshPlace(source);
  const pin = place === null ? {} : { key: seen.host_key, host: place.host, port: place.port };
  return { id, tenant: run.tenant_id, probe, ...pin };
}

/** The SSH server that a source is reached at or through; null where there is none. */
function sshPlace(source: SourceConnection): { readonly host: string; readonly port: number } | null {
  switch (source.type) {
    case 'sftp':
    case 'ssh':
    case 'wordpress':
      return source.config;
    case 'mysql':
    case 'postgres':
      return source.config.ssh;
    default:
      return null;
  }
}

export async function saveFailedProbe(trx: Transaction<Database>, run: RunRow): Promise<void> {
  const sourceId = sourceOf(run)?.source_id ?? null;
  if (sourceId === null) return;
  await saveLast(trx, run, sourceId, {
    ok: false,
    run_id: run.id,
    at: new Date().toISOString(),
    error_code: run.error_code,
    error_summary: run.error_summary,
  });
}

async function saveLast(trx: Transaction<Database>, run: RunRow, sourceId: string, probe: LastProbe): Promise<void> {
  await trx
    .updateTable('sources')
    .set({ last_probe: toPgJson(probe) })
    .where('tenant_id', '=', run.tenant_id)
    .where('id', '=', sourceId)
    .execute();
}

type SourceProbe = Extract<SpecOf<'probe'>['probe'], { type: 'source' }>;

function sourceOf(run: RunRow): SourceProbe | null {
  // A run that another version made must be able to end, also when its spec means nothing to this one.
  const { data: spec } = runSpec.safeParse(run.spec);
  return spec?.kind === 'probe' && spec.probe.type === 'source' ? spec.probe : null;
}
