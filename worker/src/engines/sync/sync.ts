import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';
import { clearWay, pathsInTheWay } from './clear-way.ts';
import { guardDeletes } from './delete-guard.ts';
import { atDestination, faultOf, freeBytes } from './faults.ts';
import { type Figures, figuresOf } from './figures.ts';
import { rcloneFilter } from './filter.ts';
import { fetchNewest, type History, readCurrent, readHistory } from './history.ts';
import type { JobStats } from './job.ts';
import {
  currentDirectory,
  formatVersion,
  keptDirectory,
  manifestFile,
  manifestsDirectory,
  type Version,
  versionsDirectory,
} from './layout.ts';
import { listOrEmpty } from './listing.ts';
import { type Manifest, type ManifestEntry, type WrittenManifest, writeManifest } from './manifest.ts';
import { putBack } from './put-back.ts';
import type { Rclone } from './rclone/process.ts';
import { storeFile } from './remote-files.ts';
import { compareChecksums, lookAgain } from './second-look.ts';
import { claimDestination } from './sentinel.ts';
import { isBelowAny, listSource, type SourceListing } from './source-listing.ts';
import { type HashOrigin, isAsBefore, isAsVersionSays, type State, stateNow } from './state.ts';
import { defaultStallMs, nothingToDo, type TransferRequest, type Transferred, transferAll } from './transfer.ts';

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
  readonly sourceIsBucket: boolean;
  /** What is replaced is kept by a copy and a delete, which rclone counts: a bucket has nothing else. */
  readonly movesByDeleting: boolean;
  /** Whether the destination can say how much room it has. */
  readonly tellsRoom: boolean;
  readonly hashes: HashOrigin;
  readonly jobId: string;
  readonly runId: string;
  readonly epoch: number;
  readonly options: SyncOptions;
  /** Ends the transfer when nothing has moved for so long. */
  readonly stallMs?: number;
  readonly signal: AbortSignal;
  readonly onStats: (stats: JobStats) => void;
  /** Items that rclone said it could not bring over, with its words; read after each try. */
  readonly takeItemErrors: () => readonly { readonly path: string; readonly words: string }[];
  readonly wasCopied: (path: string) => boolean;
  /** What rclone has said it brought over so far; null where that is too much to be remembered. */
  readonly brought: () => ReadonlySet<string> | null;
}

export interface SyncOutcome extends Figures {
  readonly version: Version;
  readonly manifest: WrittenManifest;
  readonly objectCount: number;
  readonly totalBytes: number;
  readonly hasChanged: boolean;
  /** An attempt before this one did not come to its end. */
  readonly hadUnfinished: boolean;
  /** The version before, when its manifest is damaged: then all was compared with what is there. */
  readonly damaged: Version | null;
  /** Items that are missing from the version, or older in it than at the source. */
  readonly failed: readonly string[];
  /** Items of the source whose names no version can hold. */
  readonly unsupported: readonly string[];
}

/** Brings the destination to the source's state and commits a manifest of it, last. Throws XVaultError, or the signal's reason. */
export async function runSync(run: SyncRun): Promise<SyncOutcome> {
  const { rclone, signal, options } = run;
  const { rc } = rclone;
  const filter = rcloneFilter(options);
  const listing = { rc, fs: run.srcFs, withMtime: run.sourceMtimes, isBucket: run.sourceIsBucket, filter, signal };
  const [source, past] = await Promise.all([listSource(listing), atDestination('looking around', readPast(run))]);
  const { history, previous } = past;
  const version: Version = { number: history.next, epoch: run.epoch };
  const known = [...past.before.keys()].filter((path) => !isBelowAny(path, source.unreadable));
  const paths = new Set(source.objects.keys());
  const allowed = guardDeletes(new Set(known), paths, options);
  // A bucket moves by a copy and a delete, so a removal that is kept counts twice, and what is replaced counts too.
  const deletesEach = run.movesByDeleting ? 2 : 1;
  const mayDelete = allowed * deletesEach + (run.movesByDeleting ? known.filter((path) => paths.has(path)).length : 0);
  await requireRoom(run, source, past);

  const inTheWay = pathsInTheWay(new Set(known), paths);
  const keptFs =
    options.mode === 'mirror' ? null : `${run.dstFs}${versionsDirectory}/${keptDirectory({ version, tryNumber: 0 })}`;
  await atDestination('clearing the way', clearWay(rc, run.dstFs, inTheWay, keptFs, signal));

  // Of a first version everything is new: a line of rclone's log for each object would tell nothing, and costs much where they are small.
  const isFirst = previous === null && past.before.size === 0;
  if (isFirst) await rc.call('options/set', { main: { LogLevel: 'NOTICE' } }, signal);
  const isAsBothSay = inTheWay.length === 0 && (await isUnchanged(run, source, past, filter));
  const transfer: TransferRequest = {
    ...run,
    version,
    mayDelete,
    countStrays: async () => deletesEach * (await countStrays(run, past.before, paths)),
    filter,
    stallMs: run.stallMs ?? defaultStallMs,
  };
  let done = isAsBothSay ? nothingToDo : await transferAll(transfer);
  await throwFault(run, source, done);
  if (options.checksum && !isFirst) {
    done = await compareChecksums(transfer, done);
    await throwFault(run, source, done);
  }

  const newest = history.versions.at(-1) ?? null;
  const store = { rc, dstFs: run.dstFs, directory: run.directory, signal };
  const wasUntouched = inTheWay.length + done.transfers + done.deletes + done.renames + done.failures.size === 0;
  const isSame = wasUntouched && previous !== null && isAsBefore(previous, options.mode, source, history);
  const looked = isSame
    ? { done, failures: done.failures, source, list: [] }
    : await atDestination(
        'looking at what is there',
        lookAgain(
          {
            transfer,
            directory: run.directory,
            source,
            sourceMtimes: run.sourceMtimes,
            previous,
            isFirst,
            hasUnfinished: history.unfinished.length > 0,
            listsHashes: run.hashes === 'listed',
            brought: run.brought,
            putBack: async (failed) => {
              if (options.mode !== 'mirror') await putBack(store, newest, failed);
            },
          },
          done,
        ),
      );
  if (looked.done.tries > done.tries) await throwFault(run, looked.source, looked.done);
  const state: State = isSame
    ? { entries: previous.entries, missing: [] }
    : await atDestination(
        'looking at what is there',
        stateNow({
          store,
          mode: options.mode,
          list: looked.list,
          previous,
          newest,
          history,
          source: looked.source,
          failures: new Map([...source.unreadable, ...looked.failures]),
          hashes: run.hashes,
          wasCopied: run.wasCopied,
          isBrought: (path) => run.brought()?.has(path) ?? false,
        }),
      );
  const { transfers, deletes, renames } = looked.done;
  const hasChanged = inTheWay.length + transfers + deletes + renames > 0;
  const committed = await atDestination('committing the version', commitManifest(run, version, state.entries));
  const brought = isFirst ? new Set(state.entries.keys()) : run.brought();
  const figures = figuresOf({
    previous,
    entries: state.entries,
    source: looked.source,
    brought,
    done: looked.done,
  });
  const hadUnfinished = history.unfinished.length > 0;
  return {
    version,
    ...committed,
    ...figures,
    hasChanged,
    hadUnfinished,
    damaged: past.damaged,
    failed: state.missing,
    unsupported: [...source.unsupported],
  };
}

/** Throws what ended a transfer as a whole; single items that failed are not that. */
async function throwFault(run: SyncRun, source: SourceListing, done: Transferred): Promise<void> {
  const failures = new Map([...source.unreadable, ...done.failures]);
  const sizeOf = (path: string) => source.objects.get(path)?.sizeBytes ?? 0;
  const largest = [...failures.keys()].reduce((most, path) => Math.max(most, sizeOf(path)), 0);
  const end = { error: done.error, isFatal: done.isFatal };
  const measure = { largestBytes: largest, objects: source.objects.size };
  const fault = await faultOf({ ...run, rc: run.rclone.rc }, end, done.failures, measure);
  if (fault !== null) throw fault;
}

/** What attempts that were cut short have left in `current/`, and the source has no more. */
async function countStrays(run: SyncRun, known: ReadonlyMap<string, number>, source: ReadonlySet<string>) {
  const there = await atDestination('looking at what is there', readCurrent(run.rclone.rc, run.dstFs, run.signal));
  return [...there.keys()].filter((path) => !known.has(path) && !source.has(path)).length;
}

/**
 * Whether source, newest version and destination say the same of every object, so that rclone has nothing to do. Asked only where
 * the destination lists hashes: to compare times there, rclone would ask for each object by itself.
 */
async function isUnchanged(
  run: SyncRun,
  source: SourceListing,
  { history, previous }: Past,
  filter: Readonly<Record<string, unknown>>,
): Promise<boolean> {
  const { options } = run;
  if (run.hashes !== 'listed' || !run.sourceMtimes || options.checksum || previous === null) return false;
  if (!isAsBefore(previous, options.mode, source, history)) return false;
  const list = await atDestination('looking at what is there', listCurrent(run, filter));
  return isAsVersionSays(previous, list);
}

function listCurrent({ rclone, dstFs, signal }: SyncRun, filter: Readonly<Record<string, unknown>>) {
  const request = { recursive: true, filesOnly: true, withMtime: false, withHashes: true, filter };
  return listOrEmpty(rclone.rc, { fs: `${dstFs}${currentDirectory}`, ...request }, signal);
}

interface Past {
  readonly history: History;
  readonly previous: Manifest | null;
  /** The newest version, when its manifest is. */
  readonly damaged: Version | null;
  /** Path and size of what is at the destination now, as far as is known. */
  readonly before: ReadonlyMap<string, number>;
}

async function readPast(run: SyncRun): Promise<Past> {
  const { dstFs, directory, signal, rclone } = run;
  const { rc } = rclone;
  // Looking into it changes nothing, so it need not wait for whose it is.
  const [claim, reading] = await Promise.allSettled([claimDestination({ ...run, rc }), readHistory(rc, dstFs, signal)]);
  if (claim.status === 'rejected') throw claim.reason;
  if (reading.status === 'rejected') throw reading.reason;
  const history = reading.value;
  const { manifest: previous, damaged } = await fetchNewest(rc, dstFs, history, directory, signal);
  if (previous === null) return { history, previous, damaged, before: await readCurrent(rc, dstFs, signal) };
  return { history, previous, damaged, before: new Map([...previous.entries].map(([path, { size }]) => [path, size])) };
}

/** Throws STORAGE_FULL before anything is written, where the destination tells that there is no room for all that is new. */
async function requireRoom(run: SyncRun, source: SourceListing, { before, previous }: Past): Promise<void> {
  const { rclone, dstFs, rawFs, signal } = run;
  let needed = bytesMissing(source, before);
  if (needed === 0 || !run.tellsRoom) return;
  const free = await freeBytes(rclone.rc, rawFs, signal);
  if (free === null || needed <= free) return;
  // An attempt that was cut short may have brought much of it.
  if (previous !== null) needed = bytesMissing(source, await readCurrent(rclone.rc, dstFs, signal));
  if (needed <= free) return;
  throw new XVaultError('STORAGE_FULL', { detail: `${needed} bytes are new at the source, ${free} are free` });
}

function bytesMissing({ objects }: SourceListing, before: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const [path, { sizeBytes }] of objects) if (before.get(path) !== sizeBytes) sum += Math.max(0, sizeBytes);
  return sum;
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
