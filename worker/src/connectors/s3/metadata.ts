import type { SourceEntry } from '../connector.ts';

const secondsPattern = /^(\d{1,12})(?:\.(\d{1,9})\d*)?$/;
const modePattern = /^0?[0-7]{3,4}$/;

/** What other tools, and restores of ours, keep of a file beside an object: `mtime` in seconds, `mode` in octal. */
export function metadataOf({ mtimeNs, mode }: SourceEntry): Record<string, string> {
  const octal = mode.toString(8).padStart(4, '0');
  // Nobody writes times before 1970 this way.
  if (mtimeNs < 0n) return { mode: octal };
  const fraction = (mtimeNs % 1_000_000_000n).toString().padStart(9, '0');
  return { mtime: `${mtimeNs / 1_000_000_000n}.${fraction}`, mode: octal };
}

/** The entry with what the object's own metadata says; anything else in it is passed over. */
export function withMetadata(entry: SourceEntry, metadata: Readonly<Record<string, string>> | undefined): SourceEntry {
  const { mtime = '', mode = '' } = metadata ?? {};
  const [, seconds, fraction = ''] = secondsPattern.exec(mtime) ?? [];
  return {
    ...entry,
    ...(seconds === undefined ? {} : { mtimeNs: BigInt(seconds) * 1_000_000_000n + BigInt(fraction.padEnd(9, '0')) }),
    ...(modePattern.test(mode) ? { mode: Number.parseInt(mode, 8) } : {}),
  };
}
