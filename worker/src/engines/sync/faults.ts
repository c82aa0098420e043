import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';
import { listObjects } from './listing.ts';
import { classify, endOf, isItemError } from './rclone/classify.ts';
import { type RcClient, RcError } from './rclone/rc-client.ts';
import { deleteFile, storeFile } from './remote-files.ts';

/** The two ends of a transfer, for finding out which one is at fault. */
export interface Ends {
  readonly rc: RcClient;
  readonly directory: string;
  readonly srcFs: string;
  /** Where the transfer writes. */
  readonly dstFs: string;
  /** Whether the destination can say how much room it has. */
  readonly tellsRoom: boolean;
  readonly signal: AbortSignal;
}

const probeMs = 20_000;
const probeBytes = 64 * 1024;
const roomBytes = 1024 * 1024;

/** An error of the destination alone. Anything else than rclone's words passes as it is. */
export async function atDestination<T>(what: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!(error instanceof RcError)) throw error;
    const detail = `${what}: ${error.words}`.slice(0, 2000);
    throw new XVaultError(classify(error.words).destination, { detail, cause: error });
  }
}

/**
 * What ended a transfer, as an error of the end that is at fault: by rclone's words where they say it, else by trying each end once.
 * Null when single items of the source are all that is missing, so that the others count.
 */
export async function faultOf(
  ends: Ends,
  end: { readonly error: string | null; readonly isFatal: boolean },
  items: ReadonlyMap<string, string>,
  largestBytes: number,
): Promise<XVaultError | null> {
  const words = [...items.values()];
  const all = end.error === null ? words : [...words, end.error];
  if (all.length === 0) return null;
  const onlyItems = !end.isFatal && words.length > 0 && all.every((each) => isItemError(classify(each)));
  if (onlyItems && words.every((each) => endOf(each) === 'source')) return null;
  // The first that says something clear; a job's own last words often say less than its items'.
  const telling = all.find((each) => endOf(each) !== 'source' && isClear(each)) ?? all.find(isClear) ?? all[0] ?? '';
  const told = classify(telling);
  const detail = `rclone: ${[...new Set([end.error ?? '', ...words.slice(0, 3)])].join('; ')}`.slice(0, 2000);
  if (told.event === 'ERROR_STORAGE_FULL') return new XVaultError(told.destination, { detail });
  // What may not be read cannot be opened, and rclone says so: all else that is denied is writing.
  const denied = told.event === 'ERROR_PERMISSION' && words.includes(telling) && endOf(telling) === null;
  const said = denied ? 'destination' : onlyItems ? null : endOf(telling);
  if (said !== null) return new XVaultError(told[said], { detail });
  const [source, destination] = await Promise.all([trySource(ends), tryDestination(ends, largestBytes)]);
  if (destination !== null) {
    const seen = classify(destination);
    const code = seen.event === 'ERROR_INTERNAL' ? told.destination : seen.destination;
    return new XVaultError(code, { detail: `${detail}; the destination says: ${destination}` });
  }
  if (source !== null) {
    const seen = classify(source);
    const code = seen.event === 'ERROR_INTERNAL' ? told.source : seen.source;
    return new XVaultError(code, { detail: `${detail}; the source says: ${source}` });
  }
  return onlyItems ? null : new XVaultError(told.source, { detail });
}

function isClear(words: string): boolean {
  return classify(words).event !== 'ERROR_INTERNAL';
}

/** rclone's words when the root cannot be listed. */
async function trySource({ rc, srcFs, signal }: Ends): Promise<string | null> {
  const request = { fs: srcFs, recursive: false, filesOnly: false, withMtime: false, withHashes: false };
  return wordsOf(listObjects(rc, request, limited(signal)), signal);
}

/** rclone's words when nothing can be written, read or removed there, or there is no room. */
async function tryDestination(
  { rc, dstFs, directory, tellsRoom, signal }: Ends,
  largestBytes: number,
): Promise<string | null> {
  const name = `check-${randomBytes(6).toString('hex')}`;
  const file = join(directory, name);
  await writeFile(file, randomBytes(probeBytes), { mode: 0o600 });
  try {
    const to = { fs: dstFs, path: name };
    const failed = await wordsOf(storeFile(rc, directory, name, to, limited(signal)), signal);
    // Also what was half written, if it may be removed.
    const left = await wordsOf(deleteFile(rc, dstFs, name, limited(signal)), signal);
    const free = tellsRoom ? await freeBytes(rc, dstFs, limited(signal)) : null;
    if (free !== null && free < Math.max(roomBytes, largestBytes)) return 'no space left on the destination';
    return failed ?? left;
  } finally {
    await rm(file, { force: true });
  }
}

const about = z.object({ free: z.number().optional() });

/** Null where the destination does not tell. */
export async function freeBytes(rc: RcClient, fs: string, signal: AbortSignal): Promise<number | null> {
  try {
    return about.parse(await rc.call('operations/about', { fs }, signal)).free ?? null;
  } catch (error) {
    if (error instanceof RcError) return null;
    throw error;
  }
}

async function wordsOf(work: Promise<unknown>, signal: AbortSignal): Promise<string | null> {
  try {
    await work;
    return null;
  } catch (error) {
    signal.throwIfAborted();
    if (error instanceof RcError) return error.words;
    // It did not answer in time.
    if (error instanceof Error && error.name === 'TimeoutError') return 'timed out';
    throw error;
  }
}

function limited(signal: AbortSignal): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(probeMs)]);
}
