import { type Kysely, sql } from 'kysely';
import type { Database } from '../db/schema.ts';
import { largestTenant } from './large-platform.ts';

/** A source of the largest tenant's that was never read. */
export const idleSource = 'source-extra-00007';

/** Adds to a large platform what its runs left behind, and the runs of other kinds that the largest tenant never had. */
export async function fillHistory(db: Kysely<Database>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}

const otherTenant = `'tenant-' || lpad((n % 400 + 2)::text, 5, '0')`;
const snapshotOf = (number: string) => `'snapshot-00000000-' || lpad(to_hex(${number}), 12, '0')`;

const statements = [
  `insert into sources (id, tenant_id, name, type, config)
    select 'source-extra-' || lpad(n::text, 5, '0'), '${largestTenant}', 'source', 'local', '{"path": "/srv/data"}'
    from generate_series(1, 40000) n`,
  `insert into jobs (id, tenant_id, name, source_id, destination_id, engine, options)
    select 'job-' || number || '-' || jobs.id, tenant_id, name, source_id, destination_id, engine, options
    from jobs, generate_series(1, 9) number`,
  `insert into tenant_keys (tenant_id, recipient) select id, recipient from tenants`,
  `insert into run_attempts (run_id, attempt, epoch, worker_id, admitted_at, started_at, ended_at, outcome, snapshot_id, run_status)
    select id, number, number, worker_id, dispatched_at, started_at, finished_at, 'completed',
      case number when 1 then 'snapshot-' || id else 'lost-' || number || '-' || id end, status
    from runs, generate_series(1, 3) number where finished_at is not null`,
  `insert into snapshots (id, tenant_id, source_id, job_id, run_id, destination_id, storage_backend, worker_id, locator, status,
      entry_count, file_count, source_bytes, tar_bytes, stored_bytes, artifact_bytes, artifact_sha256, index_bytes, index_sha256,
      manifest_bytes, manifest_sha256, encryption, created_at)
    select 'snapshot-' || id, tenant_id, source_id, job_id, id, 'destination-' || tenant_id, 'local_fs', 'worker-001',
      jsonb_build_object('storage_backend', 'local_fs', 'worker_id', 'worker-001', 'local_path', 'snapshots/' || id), 'committed',
      3, 2, 1000, 4096, 700, 600, repeat('a', 64), 100, repeat('b', 64),
      50, repeat('c', 64), '{"algorithm": "age", "recipients": ["age1bench"]}', finished_at
    from runs where status in ('success', 'warning')`,
  // Deletions among them, and of three snapshots those that failed for good.
  `insert into runs (id, tenant_id, kind, slot, trigger, status, snapshot_id, spec, attempt, epoch, result, queued_at, finished_at)
    select '00000003-' || lpad(to_hex(n), 12, '0'), ${otherTenant}, kind,
      case when kind in ('probe', 'retention') then 'control' else 'data' end, 'manual', 'success', ${snapshotOf('n * 5')},
      '{}', 1, 1, '{}', now() - n * interval '1 minute', now() - n * interval '1 minute'
    from generate_series(1, 8000) n,
      lateral (select (array['probe', 'restore', 'validation', 'retention'])[n % 4 + 1] as kind) as of`,
  `update runs set result = null where kind = 'probe' and id < '00000003-' || lpad(to_hex(7900), 12, '0')`,
  `update snapshots set status = 'deleting' where id in (
    select snapshot_id from runs where kind = 'retention' order by id limit 3)`,
  `insert into run_events (run_id, id, ts, type, level, code, message_id, params)
    select runs.id, number, queued_at, 'summary', 'info', 'RUN', 'run_queued', '{}'
    from runs, generate_series(1, 2) number where finished_at is not null`,
  `update run_events set ts = now() - interval '70 days' where run_id in (select id from runs order by id limit 20)`,
  `insert into exports (id, tenant_id, snapshot_id, run_id, worker_id, format, status, expires_at)
    select 'export-' || number || '-' || n, case when n % 2 = 0 then '${largestTenant}' else ${otherTenant} end, ${snapshotOf('n')},
      '00000003-' || lpad(to_hex(n * 4 + 1), 12, '0'), 'worker-001', 'tar.zst', 'ready', now()
    from generate_series(1, 1999) n, generate_series(1, 2) number where exists (select from snapshots where snapshots.id = ${snapshotOf('n')})`,
  `insert into schedule_fires (job_id, scheduled_for, outcome, fired_at)
    select jobs.id, date_trunc('hour', now()) - n * interval '5 hours' - right(jobs.id, 7)::int * interval '1 second', 'run', now()
    from jobs, generate_series(1, 20) n where schedule is not null`,
  // Some are watched over; of a few the time has passed.
  `update schedule_fires set start_deadline_at = now() + interval '1 hour'
    where scheduled_for > now() - interval '6 hours' and run_id is not null`,
  `update schedule_fires set start_deadline_at = now() - interval '1 minute' where (job_id, scheduled_for) in (
    select job_id, scheduled_for from schedule_fires where start_deadline_at is not null order by scheduled_for limit 5)`,
  `update schedule_fires set scheduled_for = scheduled_for - interval '100 days' where job_id < 'job-0000005' and run_id is null`,
  `insert into idempotency_keys (tenant_id, scope, key, run_id, created_at)
    select case when n % 3 = 0 then '${largestTenant}' else ${otherTenant} end, 'job:job-0000002', 'key-' || n,
      '00000000-' || lpad(to_hex(n), 12, '0'), now() - case when n % 60 = 0 then interval '2 days' else interval '1 hour' end
    from generate_series(1, 9000) n`,
  `insert into run_secrets (run_id, identity_sealed)
    select '00000003-' || lpad(to_hex(n), 12, '0'), 'sealed' from generate_series(1, 5) n`,
];
