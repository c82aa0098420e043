import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { currentDirectory, keptDirectory, versionsDirectory } from './layout.ts';
import { type ListedObject, listObjects, listOrEmpty } from './listing.ts';
import type { Manifest } from './manifest.ts';
import { type RcClient, RcError } from './rclone/rc-client.ts';
import type { SourceListing } from './source-listing.ts';
import { addTransferred, type TransferRequest, type Transferred, transferAll, triesAtMost } from './transfer.ts';

export interface SecondLook {
  readonly transfer: TransferRequest;
  /** Of the run, for lists of names. */
  readonly directory: string;
  readonly source: SourceListing;
  readonly sourceMtimes: boolean;
  readonly previous: Manifest | null;
  /** Nothing was at the destination before this run. */
  readonly isFirst: boolean;
  readonly hasUnfinished: boolean;
  readonly listsHashes: boolean;
  /** Brings back what was moved away for a replacement that did not come. */
  readonly putBack: (failures: ReadonlyMap<string, string>) => Promise<void>;
  /** What rclone said it brought over; null where it does not say. */
  readonly brought: () => ReadonlySet<string> | null;
}

export interface Looked {
  readonly done: Transferred;
  /** Of `done`, without what has gone from the source meanwhile. */
  readonly failures: ReadonlyMap<string, string>;
  /** As the source is now, where it has changed since it was listed. */
  readonly source: SourceListing;
  /** Of `current/`. */
  readonly list: readonly ListedObject[];
}

/** A pass that compares by checksum, where both ends have one: it sees what has changed with neither its size nor its time. */
export async function compareChecksums(transfer: TransferRequest, done: Transferred): Promise<Transferred> {
  if (!(await sharesHash(transfer))) return done;
  const pass = { method: 'sync/copy', config: { CheckSum: true }, triesBefore: done.tries } as const;
  return addTransferred(done, await transferAll({ ...transfer, ...pass, onStats: onTopOf(done, transfer) }));
}

/**
 * After the first pass: brings over what has changed while it went on, and what the first pass could compare by its size alone though
 * its time says that it has changed. What has gone from the source meanwhile is no failure.
 */
export async function lookAgain(look: SecondLook, first: Transferred): Promise<Looked> {
  const { transfer, source } = look;
  const { rc } = transfer.rclone;
  await look.putBack(first.failures);
  const list = await listCurrent(look);
  const changing = changedMeanwhile(source, list, first.failures);
  const suspects = await comparedBySizeAlone(look, list, first.failures);
  let done = first;
  if (changing.length + suspects.length > 0) {
    // Its log is what tells then.
    if (look.isFirst) await rc.call('options/set', { main: { LogLevel: 'INFO' } }, transfer.signal);
    done = addTransferred(done, await passOver(look, done, changing, {}));
    done = addTransferred(done, await passOver(look, done, suspects, { IgnoreTimes: true }));
    await look.putBack(done.failures);
  }
  const fresh = await freshened(look, [...changing, ...done.failures.keys()]);
  const failures = new Map([...done.failures].filter(([path]) => fresh.objects.has(path)));
  return { done, failures, source: fresh, list: done === first ? list : await listCurrent(look) };
}

function listCurrent({ transfer, listsHashes }: SecondLook, withMtime = false): Promise<ListedObject[]> {
  const { rclone, dstFs, filter, signal } = transfer;
  const request = { recursive: true, filesOnly: true, withMtime, withHashes: listsHashes, filter };
  return listOrEmpty(rclone.rc, { fs: `${dstFs}${currentDirectory}`, ...request }, signal);
}

/** What is not as it was listed at the source, though nothing failed. */
function changedMeanwhile(
  { objects }: SourceListing,
  list: readonly ListedObject[],
  failures: ReadonlyMap<string, string>,
): string[] {
  const there = new Map(list.map(({ path, sizeBytes }) => [path, sizeBytes]));
  return [...objects.values()]
    .filter(({ path, sizeBytes }) => !failures.has(path) && !isSameSize(sizeBytes, there.get(path)))
    .map(({ path }) => path);
}

function isSameSize(source: number, destination: number | undefined): boolean {
  return destination !== undefined && (source < 0 || destination < 0 || source === destination);
}

/** rclone takes equal sizes for equal objects where one end keeps no times; the source's listing may still tell another one. */
async function comparedBySizeAlone(
  look: SecondLook,
  list: readonly ListedObject[],
  failures: ReadonlyMap<string, string>,
): Promise<string[]> {
  const { transfer, source, sourceMtimes, previous } = look;
  if (look.isFirst || !sourceMtimes || (await keepsTimes(transfer))) return [];
  const brought = look.brought();
  const doubtful = list.filter(
    ({ path }) => source.objects.has(path) && !failures.has(path) && brought?.has(path) !== true,
  );
  // What an attempt that was cut short has left is in no manifest; what it was made from is told by its own time.
  const isKnown = previous !== null && !look.hasUnfinished;
  const known = isKnown ? previous.entries : mtimesOf(await listCurrent(look, true));
  return doubtful
    .filter(({ path }) => !isSameTime(source.objects.get(path)?.mtime, known.get(path)?.mtime))
    .map(({ path }) => path);
}

function mtimesOf(list: readonly ListedObject[]): ReadonlyMap<string, { readonly mtime: string | null }> {
  return new Map(list.map((item) => [item.path, item]));
}

/** To the second, which every destination keeps. */
function isSameTime(a: string | null | undefined, b: string | null | undefined): boolean {
  if (a == null || b == null) return false;
  return Math.floor(Date.parse(a) / 1000) === Math.floor(Date.parse(b) / 1000);
}

const fsInfo = z.object({ Precision: z.number(), Hashes: z.array(z.string()).nullable().default([]) });
/** rclone says a century where a remote keeps no times; nanoseconds. */
const noTimesNs = 3e18;

/** Whether both ends have times that can be compared. */
async function keepsTimes({ rclone, srcFs, dstFs, signal }: TransferRequest): Promise<boolean> {
  const ends = await infoOf(rclone.rc, [srcFs, `${dstFs}${currentDirectory}`], signal);
  return ends.every(({ Precision }) => Precision < noTimesNs);
}

/** Whether objects of both ends can be compared by a hash. */
async function sharesHash({ rclone, srcFs, dstFs, signal }: TransferRequest): Promise<boolean> {
  const [source, destination] = await infoOf(rclone.rc, [srcFs, `${dstFs}${currentDirectory}`], signal);
  const hashes = new Set(source?.Hashes);
  return destination?.Hashes?.some((name) => hashes.has(name)) ?? false;
}

async function infoOf(rc: RcClient, remotes: readonly string[], signal: AbortSignal) {
  return Promise.all(remotes.map(async (fs) => fsInfo.parse(await rc.call('operations/fsinfo', { fs }, signal))));
}

/** Copies the paths, and what they replace is kept as in the first pass. */
async function passOver(
  look: SecondLook,
  done: Transferred,
  paths: readonly string[],
  config: Readonly<Record<string, unknown>>,
): Promise<Transferred | null> {
  if (paths.length === 0) return null;
  const { tries } = done;
  const { transfer } = look;
  const filter = { FilesFromRaw: [await writeNames(look, paths)] };
  const pass = { method: 'sync/copy', filter, config, triesBefore: tries, onStats: onTopOf(done, transfer) } as const;
  const listed = await transferAll({ ...transfer, ...pass });
  const failures = new Map(listed.failures);
  for (const path of paths.filter((each) => !isListable(each))) {
    const words = await copyOne(transfer, path, { ...config, ...keptBy(transfer, tries + triesAtMost + 1) });
    if (words !== null) failures.set(path, words);
  }
  return { ...listed, failures };
}

/** Progress that goes on from where the passes before it were. */
function onTopOf({ bytes, transfers }: Transferred, { onStats }: TransferRequest): TransferRequest['onStats'] {
  return (stats) =>
    onStats({
      ...stats,
      bytes: stats.bytes + bytes,
      totalBytes: stats.totalBytes + bytes,
      transfers: stats.transfers + transfers,
      totalTransfers: stats.totalTransfers + transfers,
    });
}

/** rclone's words when it fails. */
async function copyOne(
  { rclone, srcFs, dstFs, signal }: TransferRequest,
  path: string,
  config: Readonly<Record<string, unknown>>,
): Promise<string | null> {
  const to = { dstFs: `${dstFs}${currentDirectory}`, dstRemote: path };
  try {
    await rclone.rc.call('operations/copyfile', { srcFs, srcRemote: path, ...to, _config: config }, signal);
    return null;
  } catch (error) {
    if (error instanceof RcError) return error.words;
    throw error;
  }
}

function keptBy({ options, dstFs, version }: TransferRequest, tryNumber: number): Readonly<Record<string, unknown>> {
  if (options.mode === 'mirror') return {};
  return { BackupDir: `${dstFs}${versionsDirectory}/${keptDirectory({ version, tryNumber })}` };
}

/** The listing with what is true of the paths now. What cannot be asked stays as it was. */
async function freshened(look: SecondLook, paths: readonly string[]): Promise<SourceListing> {
  const { transfer, source, sourceMtimes } = look;
  const asked = paths.filter(isListable);
  if (asked.length === 0) return source;
  const filter = { FilesFromRaw: [await writeNames(look, asked)] };
  const request = { recursive: true, filesOnly: true, withMtime: sourceMtimes, withHashes: false, filter };
  try {
    const list = await listObjects(transfer.rclone.rc, { fs: transfer.srcFs, ...request }, transfer.signal);
    const objects = new Map(source.objects);
    for (const path of asked) objects.delete(path);
    for (const item of list) objects.set(item.path, item);
    return { ...source, objects };
  } catch (error) {
    if (error instanceof RcError) return source;
    throw error;
  }
}

/** A list of names has one on each line. */
function isListable(path: string): boolean {
  return !/[\r\n]/.test(path);
}

async function writeNames({ directory }: SecondLook, paths: readonly string[]): Promise<string> {
  const file = join(directory, 'second-look.txt');
  const text = paths
    .filter(isListable)
    .map((path) => `${path}\n`)
    .join('');
  await writeFile(file, text, { mode: 0o600 });
  return file;
}
