import { XVaultError } from '@xvault/shared/errors.ts';

/** The oldest rclone that the engine was tried with. */
const oldest: RcloneVersion = { major: 1, minor: 60, patch: 1 };

export interface RcloneVersion {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
}

/** What depends on the version of rclone. */
export interface RcloneFeatures {
  readonly version: string;
  /** A file in flight has a name of its own, so that one cut short never looks whole. */
  readonly writesPartials: boolean;
}

/** From `v1.60.1-DEV` and the like. Throws SYNC_TOOL_UNSUITABLE when it is too old or not understood. */
export function featuresOf(text: string): RcloneFeatures {
  const match = /^v?(\d+)\.(\d+)(?:\.(\d+))?/.exec(text.trim());
  if (match === null) throw new XVaultError('SYNC_TOOL_UNSUITABLE', { detail: 'rclone gave no version' });
  const version = { major: Number(match[1]), minor: Number(match[2]), patch: Number(match[3] ?? 0) };
  if (isOlder(version, oldest)) {
    throw new XVaultError('SYNC_TOOL_UNSUITABLE', { detail: `rclone ${text} is older than 1.60.1` });
  }
  return { version: text.trim(), writesPartials: !isOlder(version, { major: 1, minor: 63, patch: 0 }) };
}

function isOlder(a: RcloneVersion, b: RcloneVersion): boolean {
  if (a.major !== b.major) return a.major < b.major;
  if (a.minor !== b.minor) return a.minor < b.minor;
  return a.patch < b.patch;
}
