import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';
import { clearWay, pathsInTheWay } from './clear-way.ts';
import { guardDeletes } from './delete-guard.ts';
import { rcloneFilter } from './filter.ts';
import { fetchManifest, type History, readCurrentPaths, readHistory } from './history.ts';
import { type JobEnd, type JobStats, runJob } from './job.ts';
import {
  currentDirectory,
  formatVersion,
  keptDirectory,
  manifestFile,
  manifestsDirectory,
  type Version,
  versionsDirectory,
} from './layout.ts';
import { type ListedObject, listObjects, listOrEmpty } from './listing.ts';
import { type Manifest, type ManifestEntry, type WrittenManifest, writeManifest } from './manifest.ts';
import { classify, isItemError } from './rclone/classify.ts';
import type { Rclone } from './rclone/process.ts';
import { RcError } from './rclone/rc-client.ts';
import { deleteFile, storeFile } from './remote-files.ts';
import type { HashSupport } from './remotes/remote.ts';
import { claimDestination } from './sentinel.ts';

const tries = 3;
const stallMs = 300_000;

export interface SyncRun {
  readonly rclone: Rclone;
  /** Of the run, for manifests on their way. */
  readonly directory: string;
  readonly srcFs: string;
  readonly rawFs: string;
  /** Ends in a colon or slash: names are put behind it. */
  readonly dstFs: string;
  /** What a listing of each side gives for nothing. */
  readonly sourceMtimes: boolean;
  readonly destinationHashes: HashSupport;
  readonly jobId: string;
  readonly runId: string;
  readonly epoch: number;
  readonly options: SyncOptions;
  readonly signal: AbortSignal;
  readonly onStats: (stats: JobStats) => void;
  /** Items that rclone said it could not bring over, with its words; read after each try. */
  readonly takeItemErrors: () => readonly { readonly path: string; readonly words: string }[];
}

export interface SyncOutcome {
  readonly version: Version;
  readonly manifest: WrittenManifest;
  readonly objectCount: number;
  readonly totalBytes: number;
  readonly bytes: number;
  readonly transfers: number;
  readonly deletes: number;
  readonly hasChanged: boolean;
  /** Items that are missing from the version, or older in it than at the source. */
  readonly failed: readonly string[];
}

/** Brings the destination to the source's state and commits a manifest of it, last. Throws XVaultError, or the signal's reason. */
export async function runSync(run: SyncRun): Promise<SyncOutcome> {
  const { rclone, signal, options } = run;
  const { rc } = rclone;
  await claimDestination({ ...run, rc });
  const filter = rcloneFilter(options);
  const [history, source] = await Promise.all([readHistory(rc, run.dstFs, signal), listSource(run, filter)]);
  const version: Version = { number: history.next, epoch: run.epoch };
  const previous = await newestManifest(run, history);
  const before = previous === null ? await readCurrentPaths(rc, run.dstFs, signal) : new Set(previous.entries.keys());
  const mayDelete = guardDeletes(before, new Set(source.keys()), options);

  const inTheWay = pathsInTheWay(before, new Set(source.keys()));
  const keptFs =
    options.mode === 'mirror' ? null : `${run.dstFs}${versionsDirectory}/${keptDirectory({ version, tryNumber: 0 })}`;
  await clearWay(rc, run.dstFs, inTheWay, keptFs, signal);

  const failures = new Map<string, string>();
  let total = { bytes: 0, transfers: 0, deletes: 0, renames: 0 };
  for (let tryNumber = 1; ; tryNumber += 1) {
    // What was said while looking around is not about the transfer.
    run.takeItemErrors();
    const end = await transfer(run, { version, tryNumber, mayDelete, filter });
    total = addStats(total, end.stats);
    failures.clear();
    for (const { path, words } of run.takeItemErrors()) failures.set(path, words);
    if (end.error === null && failures.size === 0) break;
    if (!isWorthAnotherTry(end, failures) || tryNumber === tries) {
      requireItemErrorsOnly(end, failures);
      break;
    }
    await sleep(1000 * 2 ** tryNumber, undefined, { signal });
  }

  const hasChanged = inTheWay.length + total.transfers + total.deletes + total.renames > 0;
  const entries =
    hasChanged || previous === null || failures.size > 0 ? await stateNow(run, source, filter) : previous.entries;
  const missing = options.mode === 'copy' ? [] : [...source.keys()].filter((path) => !entries.has(path));
  for (const path of missing) if (!failures.has(path)) failures.set(path, 'it is not at the destination');
  const committed = await commitManifest(run, version, entries);
  return { version, ...committed, ...total, hasChanged, failed: [...failures.keys()] };
}

async function listSource(run: SyncRun, filter: Readonly<Record<string, unknown>>): Promise<Map<string, ListedObject>> {
  try {
    const request = { fs: run.srcFs, recursive: true, filesOnly: true, withMtime: run.sourceMtimes, withHashes: false };
    const list = await listObjects(run.rclone.rc, { ...request, filter }, run.signal);
    return new Map(list.map((item) => [item.path, item]));
  } catch (error) {
    if (!(error instanceof RcError)) throw error;
    throw new XVaultError(classify(error.words).source, { detail: `listing the source: ${error.words}`, cause: error });
  }
}

async function newestManifest(run: SyncRun, history: History): Promise<Manifest | null> {
  const newest = history.versions.at(-1);
  return newest === undefined ? null : fetchManifest(run.rclone.rc, run.dstFs, newest, run.directory, run.signal);
}

interface Try {
  readonly version: Version;
  readonly tryNumber: number;
  readonly mayDelete: number;
  readonly filter: Readonly<Record<string, unknown>>;
}

async function transfer(run: SyncRun, { version, tryNumber, mayDelete, filter }: Try): Promise<JobEnd> {
  const { rclone, options, signal } = run;
  const keeps = options.mode !== 'mirror';
  let inFlight: JobStats['transferring'] = [];
  const config = {
    ...(keeps && { BackupDir: `${run.dstFs}${versionsDirectory}/${keptDirectory({ version, tryNumber })}` }),
    ...(options.mode !== 'copy' && { MaxDelete: mayDelete }),
    ...(options.checksum && { CheckSum: true }),
  };
  try {
    return await runJob(rclone.rc, {
      method: options.mode === 'copy' ? 'sync/copy' : 'sync/sync',
      input: { srcFs: run.srcFs, dstFs: `${run.dstFs}${currentDirectory}`, _config: config, _filter: filter },
      group: `try-${tryNumber}`,
      onStats: (stats) => {
        inFlight = stats.transferring;
        run.onStats(stats);
      },
      stallMs,
      onStall: () => {
        throw new XVaultError('SYNC_STALLED', { detail: `nothing moved for ${stallMs / 1000} s` });
      },
      signal,
    });
  } catch (error) {
    if (!rclone.features.writesPartials) await removeCutShort(run, inFlight);
    throw error;
  }
}

/** Old rclones write under the final name: what was in flight is half there and looks whole. */
async function removeCutShort(run: SyncRun, inFlight: JobStats['transferring']): Promise<void> {
  const fs = `${run.dstFs}${currentDirectory}`;
  const removals = inFlight.map(async ({ name, size }) => {
    const signal = AbortSignal.timeout(10_000);
    const request = { recursive: false, filesOnly: true, withMtime: false, withHashes: false };
    const directory = name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : '';
    const list = await listOrEmpty(run.rclone.rc, { fs: `${fs}/${directory}`, ...request }, signal);
    const found = list.find(({ path }) => path === name.slice(directory === '' ? 0 : directory.length + 1));
    if (found !== undefined && found.sizeBytes !== size) await deleteFile(run.rclone.rc, fs, name, signal);
  });
  // What cannot be removed now differs in size from the source and is replaced by the next run, which no version before it shows.
  await Promise.allSettled(removals);
}

function isWorthAnotherTry(end: JobEnd, failures: ReadonlyMap<string, string>): boolean {
  if (end.stats.fatalError) return false;
  const words = [...failures.values(), ...(end.error === null ? [] : [end.error])];
  return words.some((word) => ['ERROR_NETWORK', 'ERROR_RATE_LIMIT', 'ERROR_INTERNAL'].includes(classify(word).event));
}

/** Throws what ended the transfer, unless only single items are missing. */
function requireItemErrorsOnly(end: JobEnd, failures: ReadonlyMap<string, string>): void {
  if (end.error === null) return;
  const classified = classify(end.error);
  const others = end.stats.errors > 0 && failures.size > 0 && isItemError(classified) && !end.stats.fatalError;
  if (others && [...failures.values()].every((words) => isItemError(classify(words)))) return;
  const [firstWords] = failures.values();
  const told = classified.event === 'ERROR_INTERNAL' && firstWords !== undefined ? classify(firstWords) : classified;
  throw new XVaultError(told.source, { detail: `rclone: ${end.error}; ${firstWords ?? ''}`.slice(0, 2000) });
}

/** What the version holds: the destination as it is, of what the source had. */
async function stateNow(
  run: SyncRun,
  source: ReadonlyMap<string, ListedObject>,
  filter: Readonly<Record<string, unknown>>,
): Promise<Map<string, ManifestEntry>> {
  const request = {
    recursive: true,
    filesOnly: true,
    withMtime: false,
    withHashes: run.destinationHashes === 'listed',
  };
  const fs = `${run.dstFs}${currentDirectory}`;
  const list = await listOrEmpty(run.rclone.rc, { fs, ...request, filter }, run.signal);
  const entries = list
    .filter(({ path }) => run.options.mode === 'copy' || source.has(path))
    .map((item): [string, ManifestEntry] => {
      const mtime = source.get(item.path)?.mtime ?? null;
      return [item.path, { path: item.path, size: item.sizeBytes, mtime, hashes: item.hashes }];
    });
  return new Map(entries);
}

async function commitManifest(run: SyncRun, version: Version, entries: ReadonlyMap<string, ManifestEntry>) {
  const totalBytes = [...entries.values()].reduce((sum, { size }) => sum + Math.max(0, size), 0);
  const name = manifestFile(version);
  const head = {
    version: formatVersion(version),
    job_id: run.jobId,
    run_id: run.runId,
    mode: run.options.mode,
    encrypted: run.options.encryption,
    created_at: new Date().toISOString(),
    object_count: entries.size,
    total_bytes: totalBytes,
  };
  const manifest = await writeManifest(join(run.directory, name), head, entries.values());
  const to = { fs: run.dstFs, path: `${manifestsDirectory}/${name}` };
  await storeFile(run.rclone.rc, run.directory, name, to, run.signal);
  return { manifest, objectCount: entries.size, totalBytes };
}

function addStats(sum: { bytes: number; transfers: number; deletes: number; renames: number }, stats: JobStats) {
  return {
    bytes: sum.bytes + stats.bytes,
    transfers: sum.transfers + stats.transfers,
    deletes: sum.deletes + stats.deletes,
    renames: sum.renames + stats.renames,
  };
}
