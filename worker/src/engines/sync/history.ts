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
import { listOrEmpty } from './listing.ts';
import { type Manifest, readManifest } from './manifest.ts';
import type { RcClient } from './rclone/rc-client.ts';
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
    const list = await listOrEmpty(rc, { fs: `${dstFs}${directory}`, ...request }, signal);
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

/** Throws SYNC_VERSION_BROKEN. Null when it is not there. */
export async function fetchManifest(
  rc: RcClient,
  dstFs: string,
  version: Version,
  directory: string,
  signal: AbortSignal,
): Promise<Manifest | null> {
  const from = { fs: dstFs, path: `${manifestsDirectory}/${manifestFile(version)}` };
  const path = await fetchFile(rc, from, directory, `manifest-${formatVersion(version)}.jsonl.gz`, signal);
  return path === null ? null : readManifest(path);
}

/** Path and size of what is in `current/`, as attempts that were cut short have left it. */
export async function readCurrent(rc: RcClient, dstFs: string, signal: AbortSignal): Promise<Map<string, number>> {
  const request = { recursive: true, filesOnly: true, withMtime: false, withHashes: false };
  const list = await listOrEmpty(rc, { fs: `${dstFs}${currentDirectory}`, ...request }, signal);
  return new Map(list.map(({ path, sizeBytes }) => [path, sizeBytes]));
}
