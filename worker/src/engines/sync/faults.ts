import { randomBytes } from 'node:crypto';
import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';
import { areBrokenAlone } from './broken-alone.ts';
import { listObjects } from './listing.ts';
import { type Classified, classify, endOf, isItemError } from './rclone/classify.ts';
import { type RcClient, RcError } from './rclone/rc-client.ts';
import { redact } from './redact.ts';
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
/** Of more items than that the others fail as these do. */
const mostJudged = 10_000;
const followsFromItems = /^not deleting \w+ as there were IO errors$/;
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
 * Null when single items of the source are all that is missing, so that the others count: also such as break whenever they are read.
 * @param measure of the largest item that is missing, and of how many objects the source has.
 */
export async function faultOf(
  ends: Ends,
  end: { readonly error: string | null; readonly isFatal: boolean },
  items: ReadonlyMap<string, string>,
  measure: { readonly largestBytes: number; readonly objects: number },
): Promise<XVaultError | null> {
  const words = [...items.values()];
  const said = [...items].slice(0, mostJudged).map(([item, text]) => saidOf(text, item));
  // A job's own last words often say less than its items', or the same without the name.
  const last = redact(end.error ?? '');
  const isSaid = words.some((each) => each.includes(last)) || (words.length > 0 && followsFromItems.test(last));
  if (last !== '' && !isSaid) said.push(saidOf(last));
  const [first] = said;
  if (first === undefined) return null;
  const mayBeItems = !end.isFatal && words.length > 0 && said.every(({ told }) => isItemError(told) || isNetwork(told));
  const onlyItems = mayBeItems && said.every(({ told }) => isItemError(told));
  if (onlyItems && said.every(({ end }) => end === 'source')) return null;
  const isClear = ({ told }: Said) => told.event !== 'ERROR_INTERNAL';
  const telling = said.find((each) => each.end !== 'source' && isClear(each)) ?? said.find(isClear) ?? first;
  const { told } = telling;
  const detail = `rclone: ${[...new Set([end.error ?? '', ...words.slice(0, 3)])].join('; ')}`.slice(0, 2000);
  if (told.event === 'ERROR_STORAGE_FULL') return new XVaultError(told.destination, { detail });
  // What may not be read cannot be opened, and rclone says so: all else that is denied is writing.
  const denied = told.event === 'ERROR_PERMISSION' && telling.item !== '' && telling.end === null;
  const atFault = denied ? 'destination' : onlyItems ? null : telling.end;
  if (atFault === 'destination' || (atFault === 'source' && !mayBeItems))
    return new XVaultError(told[atFault], { detail });
  const [source, destination] = await Promise.all([trySource(ends), tryDestination(ends, measure.largestBytes)]);
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
  if (onlyItems) return null;
  const cut = said.filter((each) => isNetwork(each.told)).map(({ item }) => item);
  // Where most things break, it is not them.
  const isSome = mayBeItems && cut.length <= measure.objects / 2;
  return isSome && (await areBrokenAlone(ends, cut)) ? null : new XVaultError(told.source, { detail });
}

interface Said {
  /** Of what; empty where it is not about one item. */
  readonly item: string;
  readonly told: Classified;
  readonly end: ReturnType<typeof endOf>;
}

function saidOf(words: string, item = ''): Said {
  return { item, told: classify(words, item), end: endOf(words, item) };
}

function isNetwork({ event }: Classified): boolean {
  return event === 'ERROR_NETWORK';
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
