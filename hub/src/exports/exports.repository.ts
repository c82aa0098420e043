import { type Kysely, type Selectable, sql } from 'kysely';
import { newestFirst } from '../db/newest-first.ts';
import type { Database, ExportsTable } from '../db/schema.ts';
import type { PageRequest } from '../http/pagination.ts';

type Db = Kysely<Database>;
export type ExportRow = Selectable<ExportsTable>;

interface NewExport {
  readonly id: string;
  readonly runId: string;
  /** The worker that makes and keeps the file; null where any may make it. */
  readonly workerId: string | null;
  readonly format: string;
  readonly expiresAt: Date;
}

export function insertExport(db: Db, tenantId: string, snapshotId: string, made: NewExport) {
  return db
    .insertInto('exports')
    .values({
      id: made.id,
      tenant_id: tenantId,
      snapshot_id: snapshotId,
      run_id: made.runId,
      worker_id: made.workerId,
      format: made.format,
      s3: null,
      file_name: null,
      size_bytes: null,
      sha256: null,
      link_hash: null,
      link_expires_at: null,
      expires_at: made.expiresAt,
    })
    .execute();
}

function ofTenant(db: Db, tenantId: string) {
  return db.selectFrom('exports').selectAll().where('tenant_id', '=', tenantId);
}

export function findExport(db: Db, tenantId: string, exportId: string) {
  return ofTenant(db, tenantId).where('id', '=', exportId).executeTakeFirst();
}

export function listExports(db: Db, tenantId: string, page: PageRequest) {
  return newestFirst(ofTenant(db, tenantId), page).execute();
}

/** The one link that works from now on; when it stops by itself, by the database's clock. */
export async function setLink(db: Db, tenantId: string, exportId: string, linkHash: string, seconds: number) {
  const { link_expires_at } = await db
    .updateTable('exports')
    .set({
      link_hash: linkHash,
      link_expires_at: sql<Date>`least(expires_at, now() + make_interval(secs => ${seconds}))`,
    })
    .where('tenant_id', '=', tenantId)
    .where('id', '=', exportId)
    .returning('link_expires_at')
    .executeTakeFirstOrThrow();
  return link_expires_at;
}

/** For a worker that can hand out the file, whatever the tenant: the one that keeps it, or any where it is in a bucket. */
export function findExportOfWorker(db: Db, workerId: string, exportId: string) {
  return db
    .selectFrom('exports')
    .selectAll()
    .select(sql<boolean>`expires_at <= now()`.as('is_expired'))
    .where((where) => where.or([where('worker_id', '=', workerId), where('s3', 'is not', null)]))
    .where('id', '=', exportId)
    .executeTakeFirst();
}

/** Whether the link is the one that works. */
export async function isLinkOpen(db: Db, exportId: string, linkHash: string): Promise<boolean> {
  const found = await db
    .selectFrom('exports')
    .select('id')
    .where('id', '=', exportId)
    .where('link_hash', '=', linkHash)
    .where('link_expires_at', '>', sql<Date>`now()`)
    .executeTakeFirst();
  return found !== undefined;
}

/** Uses up the link: of any number of callers at once, one gets the row. */
export function takeLink(db: Db, exportId: string, linkHash: string) {
  return db
    .updateTable('exports')
    .set({ link_hash: null, link_expires_at: null })
    .where('id', '=', exportId)
    .where('link_hash', '=', linkHash)
    .where('link_expires_at', '>', sql<Date>`now()`)
    .returningAll()
    .executeTakeFirst();
}
