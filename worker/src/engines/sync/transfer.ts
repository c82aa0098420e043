import { setTimeout as sleep } from 'node:timers/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';
import { type JobEnd, type JobStats, runJob } from './job.ts';
import { currentDirectory, keptDirectory, type Version, versionsDirectory } from './layout.ts';
import { listOrEmpty } from './listing.ts';
import { classify, type SyncEventCode } from './rclone/classify.ts';
import type { Rclone } from './rclone/process.ts';
import { deleteFile } from './remote-files.ts';

export const triesAtMost = 3;
export const defaultStallMs = 300_000;

export interface TransferRequest {
  readonly rclone: Rclone;
  readonly srcFs: string;
  readonly dstFs: string;
  readonly options: SyncOptions;
  readonly version: Version;
  readonly mayDelete: number;
  /** How many objects are at the destination that neither the newest version nor the source has. Asked when `mayDelete` was too few. */
  readonly countStrays: () => Promise<number>;
  readonly filter: Readonly<Record<string, unknown>>;
  /** The mode's own when absent. */
  readonly method?: 'sync/copy';
  /** Of rclone, beside what the job's options make of it. */
  readonly config?: Readonly<Record<string, unknown>>;
  /** Tries of earlier passes of this run: each try keeps what it replaces in a place of its own. */
  readonly triesBefore?: number;
  /** Ends it when nothing has moved for so long. */
  readonly stallMs: number;
  readonly signal: AbortSignal;
  readonly onStats: (stats: JobStats) => void;
  readonly takeItemErrors: () => readonly { readonly path: string; readonly words: string }[];
}

export interface Transferred {
  readonly bytes: number;
  readonly transfers: number;
  readonly deletes: number;
  readonly renames: number;
  readonly tries: number;
  /** rclone's words of the last try; null when all went well. */
  readonly error: string | null;
  readonly isFatal: boolean;
  /** Items that the last try did not bring over, with rclone's words. */
  readonly failures: ReadonlyMap<string, string>;
}

/** Of a run that found nothing to bring over. */
export const nothingToDo: Transferred = {
  bytes: 0,
  transfers: 0,
  deletes: 0,
  renames: 0,
  tries: 0,
  error: null,
  isFatal: false,
  failures: new Map(),
};

/**
 * Lets rclone bring `current/` to the source's state, more than once where that may help. Throws SYNC_STALLED, SYNC_FAILED, and
 * SYNC_DELETE_GUARD where rclone would remove more than the guard let through.
 */
export async function transferAll(request: TransferRequest): Promise<Transferred> {
  const { triesBefore = 0 } = request;
  let total: Transferred = { ...nothingToDo, tries: triesBefore };
  let { mayDelete } = request;
  for (let tryNumber = 1; ; tryNumber += 1) {
    // What was said while looking around is not about the transfer.
    request.takeItemErrors();
    const end = await transfer({ ...request, mayDelete }, triesBefore + tryNumber);
    await request.rclone.logged();
    const failures = new Map(request.takeItemErrors().map(({ path, words }) => [path, words]));
    const { stats, error } = end;
    total = { ...addStats(total, stats), tries: triesBefore + tryNumber, error, isFatal: stats.fatalError, failures };
    if (isStoppedByCount(end)) {
      const strays = tryNumber < triesAtMost ? await request.countStrays() : 0;
      if (strays === 0) throw new XVaultError('SYNC_DELETE_GUARD', { detail: `rclone: ${error}` });
      mayDelete = request.mayDelete + strays;
      continue;
    }
    const isDone = error === null && failures.size === 0;
    if (isDone || tryNumber === triesAtMost || !isWorthAnotherTry(end, failures)) return total;
    await sleep(1000 * 2 ** tryNumber, undefined, { signal: request.signal });
  }
}

/** What two passes of a run did. */
export function addTransferred(first: Transferred, second: Transferred | null): Transferred {
  if (second === null) return first;
  const failures = new Map([...first.failures, ...second.failures]);
  const { tries, error, isFatal } = second;
  return { ...addStats(first, second), tries, error: error ?? first.error, isFatal, failures };
}

/** 1.60.1 tells the cause in its log alone; that removing ends everything at once is nothing else. */
function isStoppedByCount({ error, stats }: JobEnd): boolean {
  return error !== null && (/max-delete/i.test(error) || (stats.fatalError && /failed to delete/i.test(error)));
}

async function transfer(request: TransferRequest, tryNumber: number): Promise<JobEnd> {
  const { rclone, options, version, mayDelete, stallMs, signal } = request;
  let inFlight: JobStats['transferring'] = [];
  const copies = request.method === 'sync/copy' || options.mode === 'copy';
  const config = {
    ...(options.mode !== 'mirror' && {
      BackupDir: `${request.dstFs}${versionsDirectory}/${keptDirectory({ version, tryNumber })}`,
    }),
    ...(!copies && { MaxDelete: mayDelete }),
    // Names that differ in how their accents are written are two names, here as everywhere else.
    NoUnicodeNormalization: true,
    // Written at several places at once, a file cut short could have its full length.
    ...(!rclone.features.writesPartials && { MultiThreadStreams: 0 }),
    ...request.config,
  };
  try {
    return await runJob(rclone.rc, {
      method: copies ? 'sync/copy' : 'sync/sync',
      input: {
        srcFs: request.srcFs,
        dstFs: `${request.dstFs}${currentDirectory}`,
        _config: config,
        _filter: request.filter,
      },
      group: `try-${tryNumber}`,
      onStats: (stats) => {
        inFlight = stats.transferring;
        request.onStats(stats);
      },
      stallMs,
      onStall: () => {
        throw new XVaultError('SYNC_STALLED', { detail: `nothing moved for ${stallMs / 1000} s` });
      },
      signal,
    });
  } catch (error) {
    if (!rclone.features.writesPartials) await removeCutShort(request, inFlight);
    throw error;
  }
}

/** Old rclones write under the final name: what was in flight is half there and looks whole. */
async function removeCutShort({ rclone, dstFs }: TransferRequest, inFlight: JobStats['transferring']): Promise<void> {
  const fs = `${dstFs}${currentDirectory}`;
  const removals = inFlight.map(async ({ name, size }) => {
    const signal = AbortSignal.timeout(10_000);
    const request = { recursive: false, filesOnly: true, withMtime: false, withHashes: false };
    const directory = name.includes('/') ? name.slice(0, name.lastIndexOf('/')) : '';
    const list = await listOrEmpty(rclone.rc, { fs, remote: directory, ...request }, signal);
    const found = list.find(({ path }) => path === name);
    if (found !== undefined && found.sizeBytes !== size) await deleteFile(rclone.rc, fs, name, signal);
  });
  // What cannot be removed now differs in size from the source and is replaced by the next run, which no version before it shows.
  await Promise.allSettled(removals);
}

const worthAnotherTry: readonly SyncEventCode[] = ['ERROR_NETWORK', 'ERROR_RATE_LIMIT', 'ERROR_INTERNAL'];

function isWorthAnotherTry({ stats, error }: JobEnd, failures: ReadonlyMap<string, string>): boolean {
  if (stats.fatalError) return false;
  const told = [...failures].map(([path, words]) => classify(words, path));
  // Where items are named, its last words are that they failed.
  if (error !== null && failures.size === 0) told.push(classify(error));
  return told.some(({ event }) => worthAnotherTry.includes(event));
}

type Counts = Pick<Transferred, 'bytes' | 'transfers' | 'deletes' | 'renames'>;

function addStats<T extends Counts>(sum: T, stats: Counts): T {
  return {
    ...sum,
    bytes: sum.bytes + stats.bytes,
    transfers: sum.transfers + stats.transfers,
    deletes: sum.deletes + stats.deletes,
    renames: sum.renames + stats.renames,
  };
}
