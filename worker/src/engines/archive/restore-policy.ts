import type { OverwritePolicy } from '@xvault/shared/restore-targets.ts';
import type { EntryType } from '../../artifact/entry.ts';
import type { TargetStat } from '../../connectors/target.ts';

/** What becomes of one entry at the target. */
export type Fate =
  | { readonly action: 'create' | 'overwrite' | 'skip' | 'rename' }
  | { readonly action: 'fail'; readonly reason: string };

interface Wanted {
  readonly type: EntryType;
  readonly mtimeNs: bigint;
}

const second = 1_000_000_000n;
/** Times go through floating point in places; no two versions of a file are this close. */
const closeNs = 2_000n;

/** The policy as a table. A directory that meets a directory is no matter of it: they become one. */
export function decideFate(policy: OverwritePolicy, wanted: Wanted, there: TargetStat | null): Fate {
  if (there === null) return { action: 'create' };
  if (wanted.type === 'directory' && there.type === 'directory') return { action: 'skip' };
  if (policy === 'rename') return { action: 'rename' };
  // Left as it is, a file where a directory belongs keeps all that is below from being restored: that must be said.
  if (wanted.type === 'directory') return { action: 'fail', reason: 'something that is no directory has its name' };
  if (policy === 'never') return { action: 'skip' };
  if (there.type === 'directory') return { action: 'fail', reason: 'a directory has its name' };
  if (there.type === 'other') return { action: 'fail', reason: 'a socket, pipe or device has its name' };
  if (policy === 'always') return { action: 'overwrite' };
  if (there.mtimeNs === null) return { action: 'fail', reason: 'the age of what is there is not known' };
  return { action: isNewer(wanted.mtimeNs, there.mtimeNs) ? 'overwrite' : 'skip' };
}

function isNewer(wantedNs: bigint, thereNs: bigint): boolean {
  // A target that keeps whole seconds cut the rest off when this very file was written.
  return thereNs % second === 0n ? floorSecond(wantedNs) > thereNs : wantedNs > thereNs + closeNs;
}

/** Whether the target has the same time, as exactly as it keeps times. */
export function sameTime(wantedNs: bigint, thereNs: bigint): boolean {
  if (thereNs % second === 0n) return floorSecond(wantedNs) === thereNs;
  const apart = wantedNs - thereNs;
  return apart <= closeNs && -apart <= closeNs;
}

/** Whether something was changed at a time or later, as exactly as the target tells times. */
export function changedSince(sinceNs: bigint, thereNs: bigint): boolean {
  return thereNs >= (thereNs % second === 0n ? floorSecond(sinceNs) : sinceNs);
}

function floorSecond(ns: bigint): bigint {
  return ns - (((ns % second) + second) % second);
}
