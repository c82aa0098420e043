import { access, readdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import type { WorkerNode } from '../../cluster/worker-node.ts';
import type { Findings, Query } from './finding.ts';

interface SnapshotRow extends Record<string, unknown> {
  readonly id: string;
  readonly worker_id: string;
  readonly local_path: string;
}
interface ExportRow extends Record<string, unknown> {
  readonly id: string;
  readonly worker_id: string;
  readonly status: string;
  readonly file_name: string | null;
}

/** Bytes without a row and rows without bytes, over the storage of all workers and the folders that restores go to. */
export async function orphans(query: Query, workers: readonly WorkerNode[], restores: string): Promise<Findings> {
  const snapshots = await query<SnapshotRow>(
    `select id, worker_id, locator->>'local_path' as local_path from snapshots where status <> 'deleted'`,
  );
  const exports = await query<ExportRow>('select id, worker_id, status, file_name from exports');
  const found = await Promise.all([
    ...workers.flatMap((worker) => [
      unexplainedSnapshots(worker, snapshots),
      unexplainedExports(worker, exports),
      absentSnapshots(worker, snapshots),
      absentExports(worker, exports),
    ]),
    stagingBelow(restores),
  ]);
  return found.flat();
}

/** Backups whose bytes were published more than once. */
export async function publishedTwice(query: Query, workers: readonly WorkerNode[]): Promise<Findings> {
  const attempts = await query<{ run_id: string; snapshot_id: string }>(
    'select run_id, snapshot_id from run_attempts where snapshot_id is not null',
  );
  const runOf = new Map(attempts.map((attempt) => [attempt.snapshot_id, attempt.run_id]));
  const published = (await Promise.all(workers.map(snapshotFolders))).flat().filter((path) => !path.includes('.part-'));
  const byRun = Map.groupBy(published, (path) => runOf.get(nameOf(path)) ?? path);
  return [...byRun].filter(([, paths]) => paths.length > 1).map(([run, paths]) => `run ${run} has ${paths.join(', ')}`);
}

async function unexplainedSnapshots(worker: WorkerNode, rows: readonly SnapshotRow[]): Promise<string[]> {
  const known = new Set(rows.filter((row) => row.worker_id === worker.id).map((row) => row.local_path));
  const paths = await snapshotFolders(worker);
  return paths.filter((path) => !known.has(path)).map((path) => `${worker.id}: no row for ${path}`);
}

async function unexplainedExports(worker: WorkerNode, rows: readonly ExportRow[]): Promise<string[]> {
  const known = new Set(rows.filter((row) => row.worker_id === worker.id).map((row) => row.id));
  const files = (await readdir(worker.exportsDir, { recursive: true })).filter((path) => !path.endsWith('.expires-at'));
  const isOdd = (path: string) => path.includes('.part-') || !known.has(path.split('/')[0] ?? '');
  return files.filter(isOdd).map((path) => `${worker.id}: export ${path} belongs to nothing`);
}

async function absentSnapshots(worker: WorkerNode, rows: readonly SnapshotRow[]): Promise<string[]> {
  const paths = rows.filter((row) => row.worker_id === worker.id).map((row) => row.local_path);
  const files = paths.flatMap((path) => ['backup.tar.zst.enc', 'index.jsonl.zst.enc'].map((name) => join(path, name)));
  return absent(worker, worker.storageDir, files);
}

async function absentExports(worker: WorkerNode, rows: readonly ExportRow[]): Promise<string[]> {
  const ready = rows.filter((row) => row.worker_id === worker.id && row.status === 'ready');
  const files = ready.map((row) => join(row.id, row.file_name ?? ''));
  return absent(worker, worker.exportsDir, files);
}

async function absent(worker: WorkerNode, root: string, files: readonly string[]): Promise<string[]> {
  const there = await Promise.all(
    files.map((file) =>
      access(join(root, file)).then(
        () => true,
        () => false,
      ),
    ),
  );
  return files.filter((_, index) => there[index] === false).map((file) => `${worker.id}: no bytes at ${file}`);
}

/** `tenants/…/snapshots/<name>`, parts included. */
async function snapshotFolders({ storageDir }: WorkerNode): Promise<string[]> {
  const paths = await readdir(storageDir, { recursive: true });
  return paths.filter((path) => /^tenants\/[^/]+\/sources\/[^/]+\/snapshots\/[^/]+$/.test(path));
}

async function stagingBelow(restores: string): Promise<string[]> {
  const tenants = await readdir(restores);
  const names = await Promise.all(
    tenants.map(async (tenant) => (await readdir(join(restores, tenant))).map((name) => join(tenant, name))),
  );
  return names
    .flat()
    .filter((path) => nameOf(path).startsWith('.xvault-restore-'))
    .map((path) => `restore left ${relative(restores, join(restores, path))}`);
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
