import {
  compareVersions,
  currentDirectory,
  formatVersion,
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
}

/** Which versions are there, those of attempts that never came to an end among them. */
export async function readHistory(rc: RcClient, dstFs: string, signal: AbortSignal): Promise<History> {
  const names = async (directory: string) => {
    const request = { recursive: false, filesOnly: false, withMtime: false, withHashes: false };
    const list = await listOrEmpty(rc, { fs: `${dstFs}${directory}`, ...request }, signal);
    return list.map(({ path }) => path);
  };
  const [manifests, kept] = await Promise.all([names(manifestsDirectory), names(versionsDirectory)]);
  const versions = manifests.map(versionOfManifest).filter((version) => version !== undefined);
  const begun = kept.map((name) => parseKept(name)?.version).filter((version) => version !== undefined);
  const last = Math.max(0, ...[...versions, ...begun].map(({ number }) => number));
  return { versions: versions.sort(compareVersions), next: last + 1 };
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

/** The paths of `current/`: what a first attempt that was cut short has left. */
export async function readCurrentPaths(rc: RcClient, dstFs: string, signal: AbortSignal): Promise<Set<string>> {
  const request = { recursive: true, filesOnly: true, withMtime: false, withHashes: false };
  const list = await listOrEmpty(rc, { fs: `${dstFs}${currentDirectory}`, ...request }, signal);
  return new Set(list.map(({ path }) => path));
}
