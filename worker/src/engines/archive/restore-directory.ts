import { type FileHandle, mkdir, open, readdir, rename, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { errnoOf, syncDirectory } from '../../storage/local-fs-sync.ts';
import { anchorKey } from './restore-anchors.ts';
import { extractDeep, shallowEntries } from './restore-deep.ts';
import type { RestoreEntry } from './restore-entries.ts';
import { extractTar, removeTree, syncFileSystem } from './restore-extract.ts';
import type { RestoreJournal } from './restore-journal.ts';
import { demandUnmoved, type RestoreOrigin } from './restore-origin.ts';
import type { RestorePlan } from './restore-plan.ts';
import { type OnRestoreProgress, RestoreProgress } from './restore-progress.ts';
import { tarStream } from './restore-tar.ts';
import { prepareTarget, type RestoreTarget, removeMadeParents } from './restore-target.ts';

export interface DirectoryRestoreOptions {
  readonly origin: RestoreOrigin;
  /** Absolute; must not exist, or be an empty directory. */
  readonly targetPath: string;
  /** Directories that targets must be inside of. */
  readonly allowedRoots: readonly string[];
  /** Keep setuid and setgid bits of files. */
  readonly allowSetuid: boolean;
  /** Names the staging directory, so that a later attempt removes what an earlier one left. */
  readonly runId: string;
  readonly epoch: number;
  /** Where it is written down what is made; without it a killed process leaves its staging directory for ever. */
  readonly journal?: RestoreJournal;
  readonly signal: AbortSignal;
  readonly onProgress?: OnRestoreProgress;
}

export interface RestoreResult {
  readonly fileCount: number;
  readonly bytes: number;
  readonly entryCount: number;
  /** Files that lost setuid or setgid bits. */
  readonly setuidDropped: number;
}

/**
 * Restores into a new directory, published by one rename when all of it is verified and on the disk; on any failure the target is as
 * it was. Throws PATH_NOT_ALLOWED, RESTORE_TARGET_NOT_EMPTY, RESTORE_TARGET_INVALID, RESTORE_PATH_NOT_FOUND, STORAGE_FULL,
 * RESTORE_FAILED, ARTIFACT_…; the signal's reason when aborted.
 */
export async function restoreToDirectory(options: DirectoryRestoreOptions): Promise<RestoreResult> {
  const { origin, allowSetuid, journal, signal } = options;
  const plan = await origin.plan({ allowSetuid, signal });
  const { fileCount, totalBytes: bytes, entryCount, setuidDropped } = plan;
  const result = { fileCount, bytes, entryCount, setuidDropped };
  // An earlier attempt did it all, and only its word did not get through.
  if ((await journal?.isPublished(options.runId)) === true) return result;
  const target = await prepareTarget(options.targetPath, options.allowedRoots);
  const staging = join(target.parent, stagingName(options.runId, options.epoch));
  try {
    await removeOlderStaging(target.parent, options);
    await demandSpace(target.parent, plan);
    await journal?.begin(options, staging, target.path);
    await mkdir(staging, { mode: 0o700 });
    await journal?.made(options, staging, target.path);
    await fillStaging(staging, plan, options);
    await demandUnmoved(origin);
    await syncFileSystem(staging, signal);
    await publish(staging, target);
  } catch (error) {
    const left = await cleanUp(staging, target);
    await journal?.end(options, left === null);
    signal.throwIfAborted();
    throw asRestoreError(error, left);
  }
  await journal?.end(options, false);
  return result;
}

async function fillStaging(staging: string, plan: RestorePlan, options: DirectoryRestoreOptions): Promise<void> {
  const { origin, signal } = options;
  const progress = new RestoreProgress(plan, options.onProgress);
  const anchors = new Set<string>();
  const entries = () => noteAnchors(origin.entries(plan, signal), anchors);
  const tar = (some: AsyncIterable<RestoreEntry>) => tarStream(origin.fill(some, signal), progress);
  let handle: FileHandle | undefined;
  try {
    handle = await open(staging, 'r');
    await extractTar({ directoryFd: handle.fd, tar: tar(shallowEntries(entries())), signal });
    if (anchors.size > 0) await extractDeep({ staging: handle, entries, tar, anchors, signal });
  } finally {
    await handle?.close();
  }
}

/** Learns on the first pass which entries are too deep for it. */
async function* noteAnchors(entries: AsyncIterable<RestoreEntry>, anchors: Set<string>): AsyncGenerator<RestoreEntry> {
  for await (const entry of entries) {
    const anchor = anchorKey(entry.member.path);
    if (anchor !== null) anchors.add(anchor);
    yield entry;
  }
}

function stagingName(runId: string, epoch: number): string {
  return `.xvault-restore-${runId}-${epoch}.part`;
}

/** What earlier attempts of this run left; a later one's is not ours to touch. */
async function removeOlderStaging(parent: string, { runId, epoch }: DirectoryRestoreOptions): Promise<void> {
  for (const name of await readdir(parent)) {
    const found = Number(/-(\d+)\.part$/.exec(name)?.[1]);
    if (found <= epoch && name === stagingName(runId, found)) await removeTree(join(parent, name));
  }
}

/** Returns what could not be removed, for operators; null when nothing is left. */
async function cleanUp(staging: string, target: RestoreTarget): Promise<string | null> {
  try {
    await removeTree(staging);
    await removeMadeParents(target);
    return null;
  } catch (error) {
    return `${staging} is left behind (${asRestoreError(error, null).detail})`;
  }
}

/** Estimated at a block for each entry beside the contents. */
async function demandSpace(parent: string, plan: RestorePlan): Promise<void> {
  const { bavail, bsize } = await statfs(parent);
  const neededBytes = plan.totalBytes + plan.entryCount * bsize;
  const freeBytes = bavail * bsize;
  if (neededBytes <= freeBytes) return;
  const detail = `${parent} has ${freeBytes} bytes free, ${neededBytes} are needed`;
  throw new XVaultError('STORAGE_FULL', { detail, params: { needed_bytes: neededBytes, free_bytes: freeBytes } });
}

async function publish(staging: string, target: RestoreTarget): Promise<void> {
  try {
    // Replaces an empty directory, and refuses any other.
    await rename(staging, target.path);
  } catch (cause) {
    const errno = errnoOf(cause);
    const isTaken = errno === 'ENOTEMPTY' || errno === 'EEXIST' || errno === 'ENOTDIR';
    throw new XVaultError(isTaken ? 'RESTORE_TARGET_NOT_EMPTY' : 'RESTORE_TARGET_INVALID', {
      detail: `cannot rename to ${target.path}`,
      cause,
    });
  }
  try {
    await syncDirectory(target.parent);
  } catch (cause) {
    await removeTree(target.path);
    throw cause;
  }
}

function asRestoreError(error: unknown, left: string | null): XVaultError {
  const known = error instanceof XVaultError ? error : fromSystemError(error);
  if (left === null) return known;
  return new XVaultError(known.code, { detail: `${known.detail}; ${left}`, params: known.params, cause: error });
}

function fromSystemError(error: unknown): XVaultError {
  const errno = errnoOf(error);
  const isFull = errno === 'ENOSPC' || errno === 'EDQUOT';
  return new XVaultError(isFull ? 'STORAGE_FULL' : 'RESTORE_FAILED', { detail: String(error), cause: error });
}
