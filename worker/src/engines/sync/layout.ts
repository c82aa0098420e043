/**
 * What a sync job keeps at its destination, below its prefix:
 * `current/` the newest state; `versions/<version>-<try>/` what that attempt replaced or removed; `manifests/<version>.jsonl.gz` what each
 * committed version holds; `sentinel.json` whose it is. A version is a number and the epoch of its attempt, so that no two
 * attempts ever write to the same place.
 */
export const currentDirectory = 'current';
export const versionsDirectory = 'versions';
export const manifestsDirectory = 'manifests';
export const sentinelFile = 'sentinel.json';

export interface Version {
  readonly number: number;
  readonly epoch: number;
}

export function formatVersion({ number, epoch }: Version): string {
  return `${String(number).padStart(8, '0')}-${epoch}`;
}

/** Undefined for a name that is no version's. */
export function parseVersion(text: string): Version | undefined {
  const match = /^(\d{8})-(\d{1,8})$/.exec(text);
  return match === null ? undefined : { number: Number(match[1]), epoch: Number(match[2]) };
}

export function compareVersions(a: Version, b: Version): number {
  return a.number - b.number || a.epoch - b.epoch;
}

export function manifestFile(version: Version): string {
  return `${formatVersion(version)}.jsonl.gz`;
}

export function versionOfManifest(name: string): Version | undefined {
  return name.endsWith('.jsonl.gz') ? parseVersion(name.slice(0, -'.jsonl.gz'.length)) : undefined;
}

/** What one try of an attempt replaced or removed. */
export interface Kept {
  readonly version: Version;
  /** 1, 2, 3 …: within an attempt a later try may replace what an earlier one brought. */
  readonly tryNumber: number;
}

export function keptDirectory({ version, tryNumber }: Kept): string {
  return `${formatVersion(version)}-${tryNumber}`;
}

export function parseKept(name: string): Kept | undefined {
  const match = /^(.+)-(\d+)$/.exec(name);
  const version = parseVersion(match?.[1] ?? '');
  return match === null || version === undefined ? undefined : { version, tryNumber: Number(match[2]) };
}

export function compareKept(a: Kept, b: Kept): number {
  return compareVersions(a.version, b.version) || a.tryNumber - b.tryNumber;
}
