import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import {
  compareVersions,
  currentDirectory,
  formatVersion,
  type Kept,
  manifestFile,
  manifestsDirectory,
  parseKept,
  type Version,
  versionOfManifest,
  versionsDirectory,
} from './layout.ts';
import { listBelow, listOrEmpty } from './listing.ts';
import { type Manifest, readManifest } from './manifest.ts';
import { type RcClient, RcError } from './rclone/rc-client.ts';
import { readObject } from './read-object.ts';
import { fetchFile } from './remote-files.ts';

export interface History {
  /** Of all manifests, oldest first. */
  readonly versions: readonly Version[];
  /** What the next attempt is to call itself. */
  readonly next: number;
  /** What attempts after the newest manifest, which never came to an end, have kept. */
  readonly unfinished: readonly Kept[];
}

/** Which versions are there, those of attempts that never came to an end among them. */
export async function readHistory(rc: RcClient, dstFs: string, signal: AbortSignal): Promise<History> {
  const names = async (directory: string) => {
    const request = { recursive: false, filesOnly: false, withMtime: false, withHashes: false };
    const list = await listBelow(rc, { fs: dstFs, remote: directory, ...request }, signal);
    return list.map(({ path }) => path);
  };
  const [manifests, kept] = await Promise.all([names(manifestsDirectory), names(versionsDirectory)]);
  const found = manifests.map(versionOfManifest).filter((version) => version !== undefined);
  const versions = found.sort(compareVersions);
  const begun = kept.map(parseKept).filter((each) => each !== undefined);
  const last = Math.max(0, ...[...versions, ...begun.map(({ version }) => version)].map(({ number }) => number));
  const newest = versions.at(-1);
  const unfinished = begun.filter(({ version }) => newest === undefined || compareVersions(version, newest) > 0);
  return { versions, next: last + 1, unfinished };
}

/** Throws SYNC_VERSION_BROKEN when its content is damaged. Null when it is not there. */
export async function fetchManifest(
  rc: RcClient,
  dstFs: string,
  version: Version,
  directory: string,
  signal: AbortSignal,
): Promise<Manifest | null> {
  const [name, file] = [`manifest-${formatVersion(version)}.jsonl.gz`, manifestFile(version)];
  try {
    const path = await fetchFile(rc, { fs: dstFs, path: `${manifestsDirectory}/${file}` }, directory, name, signal);
    return path === null ? null : await readManifest(path);
  } catch (error) {
    if (!(error instanceof RcError)) throw error;
    // What is cut short under crypt breaks off as a connection does: reading it tells which of the two it was.
    const path = join(directory, name);
    await pipeline(readObject({ rc, dstFs, directory, signal }, manifestsDirectory, file), createWriteStream(path));
    return readManifest(path);
  }
}

/** The manifest of the newest version, and whether that is damaged: then it is null, and no hindrance to the next one. */
export async function fetchNewest(
  rc: RcClient,
  dstFs: string,
  { versions }: History,
  directory: string,
  signal: AbortSignal,
): Promise<{ readonly manifest: Manifest | null; readonly damaged: Version | null }> {
  const newest = versions.at(-1);
  if (newest === undefined) return { manifest: null, damaged: null };
  try {
    return { manifest: await fetchManifest(rc, dstFs, newest, directory, signal), damaged: null };
  } catch (error) {
    if (error instanceof XVaultError && error.code === 'SYNC_VERSION_BROKEN')
      return { manifest: null, damaged: newest };
    throw error;
  }
}

/** Path and size of what is in `current/`, as attempts that were cut short have left it. */
export async function readCurrent(rc: RcClient, dstFs: string, signal: AbortSignal): Promise<Map<string, number>> {
  const request = { recursive: true, filesOnly: true, withMtime: false, withHashes: false };
  const list = await listOrEmpty(rc, { fs: `${dstFs}${currentDirectory}`, ...request }, signal);
  return new Map(list.map(({ path, sizeBytes }) => [path, sizeBytes]));
}
