import { setTimeout as sleep } from 'node:timers/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SyncOptions } from '@xvault/shared/sync-options.ts';
import { type JobEnd, type JobStats, runJob } from './job.ts';
import { currentDirectory, keptDirectory, type Version, versionsDirectory } from './layout.ts';
import { listOrEmpty } from './listing.ts';
import { classify } from './rclone/classify.ts';
import type { Rclone } from './rclone/process.ts';
import { deleteFile } from './remote-files.ts';

const tries = 3;
export const defaultStallMs = 300_000;
/** What rclone says comes by another way than how its jobs end. */
export const lastWordsMs = 100;

export interface TransferRequest {
  readonly rclone: Rclone;
  readonly srcFs: string;
  readonly dstFs: string;
  readonly options: SyncOptions;
  readonly version: Version;
  readonly mayDelete: number;
  readonly filter: Readonly<Record<string, unknown>>;
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

/** Lets rclone bring `current/` to the source's state, more than once where that may help. Throws SYNC_STALLED, SYNC_FAILED. */
export async function transferAll(request: TransferRequest): Promise<Transferred> {
  let total = { bytes: 0, transfers: 0, deletes: 0, renames: 0 };
  for (let tryNumber = 1; ; tryNumber += 1) {
    // What was said while looking around is not about the transfer.
    request.takeItemErrors();
    const end = await transfer(request, tryNumber);
    if (end.error !== null) await sleep(lastWordsMs);
    total = addStats(total, end.stats);
    const failures = new Map(request.takeItemErrors().map(({ path, words }) => [path, words]));
    const isDone = end.error === null && failures.size === 0;
    if (isDone || tryNumber === tries || !isWorthAnotherTry(end, failures)) {
      return { ...total, tries: tryNumber, error: end.error, isFatal: end.stats.fatalError, failures };
    }
    await sleep(1000 * 2 ** tryNumber, undefined, { signal: request.signal });
  }
}

async function transfer(request: TransferRequest, tryNumber: number): Promise<JobEnd> {
  const { rclone, options, version, mayDelete, stallMs, signal } = request;
  let inFlight: JobStats['transferring'] = [];
  const config = {
    ...(options.mode !== 'mirror' && {
      BackupDir: `${request.dstFs}${versionsDirectory}/${keptDirectory({ version, tryNumber })}`,
    }),
    ...(options.mode !== 'copy' && { MaxDelete: mayDelete }),
    ...(options.checksum && { CheckSum: true }),
    // Written at several places at once, a file cut short could have its full length.
    ...(!rclone.features.writesPartials && { MultiThreadStreams: 0 }),
  };
  try {
    return await runJob(rclone.rc, {
      method: options.mode === 'copy' ? 'sync/copy' : 'sync/sync',
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

function isWorthAnotherTry(end: JobEnd, failures: ReadonlyMap<string, string>): boolean {
  if (end.stats.fatalError) return false;
  const words = [...failures.values(), ...(end.error === null ? [] : [end.error])];
  return words.some((word) => ['ERROR_NETWORK', 'ERROR_RATE_LIMIT', 'ERROR_INTERNAL'].includes(classify(word).event));
}

function addStats(sum: { bytes: number; transfers: number; deletes: number; renames: number }, stats: JobStats) {
  return {
    bytes: sum.bytes + stats.bytes,
    transfers: sum.transfers + stats.transfers,
    deletes: sum.deletes + stats.deletes,
    renames: sum.renames + stats.renames,
  };
}
