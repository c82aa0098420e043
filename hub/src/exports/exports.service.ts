import type { JWT } from '@fastify/jwt';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { claimResponse } from '@xvault/shared/internal-api.ts';
import { hashToken, randomToken } from '@xvault/shared/tokens.ts';
import type { Kysely } from 'kysely';
import type { z } from 'zod';
import { type Actor, writeAudit } from '../audit/audit.ts';
import type { Database } from '../db/schema.ts';
import { findKeptDestination } from '../destinations/destinations.repository.ts';
import { toDestinationConnection } from '../destinations/destinations.service.ts';
import { findSnapshot } from '../snapshots/snapshots.repository.ts';
import { findRestoringWorker, findWorker } from '../workers/workers.repository.ts';
import { linkSeconds, readLink, signLink } from './export-link.ts';
import { type ExportRow, findExport, findExportOfWorker, isLinkOpen, setLink, takeLink } from './exports.repository.ts';

type Db = Kysely<Database>;

/** Throws NOT_FOUND. */
export async function getExport(db: Db, tenantId: string, exportId: string): Promise<ExportRow> {
  const row = await findExport(db, tenantId, exportId);
  if (row === undefined) throw new XVaultError('NOT_FOUND');
  return row;
}

/** A link that works once, for 15 minutes; any earlier one stops working. Throws EXPORT_EXPIRED, EXPORT_NOT_READY. */
export async function makeLink(db: Db, jwt: JWT, actor: Actor, tenantId: string, exportId: string) {
  const row = await getExport(db, tenantId, exportId);
  if (row.expires_at.getTime() <= Date.now()) throw new XVaultError('EXPORT_EXPIRED');
  if (row.status !== 'ready') throw new XVaultError('EXPORT_NOT_READY', { detail: row.status });
  const worker = await findHandingOut(db, row);
  if (worker?.public_url == null)
    throw new XVaultError('WORKER_OFFLINE', { detail: `worker ${row.worker_id} has no URL` });
  const jti = randomToken();
  const expiresAt = await db.transaction().execute(async (trx) => {
    const object = { objectType: 'export', objectId: exportId };
    await writeAudit(trx, actor, { tenantId, action: 'export.link', ...object });
    return setLink(trx, tenantId, exportId, hashToken(jti), linkSeconds);
  });
  const base = worker.public_url.replace(/\/+$/, '');
  const url = `${base}/exports/${exportId}?token=${signLink(jwt, { sub: exportId, jti })}`;
  return { url, expires_at: (expiresAt ?? row.expires_at).toISOString() };
}

export interface Claim {
  readonly exportId: string;
  /** The worker that asks, as its token says. */
  readonly workerId: string;
  readonly linkToken: string;
  /** False only asks what the link would give. */
  readonly consume: boolean;
}

/**
 * Uses up a link for the worker that hands out the file and says what to send. Throws NOT_FOUND, EXPORT_EXPIRED, EXPORT_NOT_READY,
 * EXPORT_LINK_USED (also for a forged or stale token).
 */
export async function claimExport(
  db: Db,
  jwt: JWT,
  { exportId, workerId, linkToken, consume }: Claim,
): Promise<z.infer<typeof claimResponse>> {
  const link = readLink(jwt, linkToken);
  if (link === undefined || link.sub !== exportId) throw new XVaultError('EXPORT_LINK_USED');
  const row = await findExportOfWorker(db, workerId, exportId);
  if (row === undefined) throw new XVaultError('NOT_FOUND');
  if (row.is_expired) throw new XVaultError('EXPORT_EXPIRED');
  if (row.status !== 'ready' || row.file_name === null || row.size_bytes === null) {
    throw new XVaultError('EXPORT_NOT_READY', { detail: row.status });
  }
  const linkHash = hashToken(link.jti);
  const isOpen = consume
    ? (await takeLink(db, exportId, linkHash)) !== undefined
    : await isLinkOpen(db, exportId, linkHash);
  if (!isOpen) throw new XVaultError('EXPORT_LINK_USED');
  return {
    export_id: exportId,
    file_name: row.file_name,
    size_bytes: row.size_bytes,
    expires_at: row.expires_at.toISOString(),
    s3: await placeInBucket(db, row),
  };
}

/** Who can give out the file: the worker that keeps it; any where it is in a bucket, the one that made it if it is there. */
async function findHandingOut(db: Db, { worker_id, s3 }: ExportRow) {
  const maker = worker_id === null ? undefined : await findWorker(db, worker_id);
  if (s3 === null || maker?.status === 'active') return maker;
  return findRestoringWorker(db);
}

/** With the sealed key, which only workers can open; null for a file on a worker's shelf. */
async function placeInBucket(db: Db, row: ExportRow): Promise<z.infer<typeof claimResponse>['s3']> {
  if (row.s3 === null) return null;
  const snapshot = await findSnapshot(db, row.tenant_id, row.snapshot_id);
  const destination =
    snapshot === undefined ? undefined : await findKeptDestination(db, row.tenant_id, snapshot.destination_id);
  if (destination === undefined) throw new XVaultError('EXPORT_EXPIRED', { detail: 'its destination is gone' });
  return {
    object_key: row.s3.object_key,
    destination: toDestinationConnection(destination),
    destination_secret_sealed: destination.secret_sealed,
  };
}
