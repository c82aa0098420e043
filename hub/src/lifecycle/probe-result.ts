import { type ResultOf, runSpec, type SpecOf } from '@xvault/shared/run-kinds.ts';
import { sql, type Transaction } from 'kysely';
import type { Database, RunRow } from '../db/schema.ts';
import { toPgJson } from './pg-text.ts';

/** What is kept of the last test of a source: `ok` and, by it, what was seen or what was wrong. */
type LastProbe = { readonly ok: boolean; readonly run_id: string; readonly at: string } & Record<string, unknown>;

/** Keeps what a connection test saw; pins the host key when none is pinned and the source still points to that host. */
export async function saveProbe(trx: Transaction<Database>, run: RunRow, result: ResultOf<'probe'>): Promise<void> {
  const probed = sourceOf(run);
  if (probed === null || result.probe.type !== 'source') return;
  const { type: _, ...seen } = result.probe;
  await saveLast(trx, run, probed.source_id, { ok: true, run_id: run.id, at: new Date().toISOString(), ...seen });
  if (seen.host_key === null || probed.source.type !== 'sftp') return;
  const { host, port } = probed.source.config;
  await trx
    .updateTable('sources')
    .set({ host_key: seen.host_key })
    .where('tenant_id', '=', run.tenant_id)
    .where('id', '=', probed.source_id)
    .where('host_key', 'is', null)
    .where(sql<boolean>`config->>'host' = ${host} and coalesce((config->>'port')::int, 22) = ${port}`)
    .execute();
}

export async function saveFailedProbe(trx: Transaction<Database>, run: RunRow): Promise<void> {
  const probed = sourceOf(run);
  if (probed === null) return;
  await saveLast(trx, run, probed.source_id, {
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
  const spec = runSpec.parse(run.spec);
  return spec.kind === 'probe' && spec.probe.type === 'source' ? spec.probe : null;
}
