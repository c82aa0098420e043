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

interface Described {
  readonly ETag?: string | undefined;
  readonly ContentType?: string | undefined;
  readonly Metadata?: Readonly<Record<string, string>> | undefined;
}

/** More than servers take; what goes beyond is passed over. */
const mostAttributeBytes = 8192;

/** What the server says of an object, as the index keeps it. */
export function attributesOf({ ETag, ContentType, Metadata = {} }: Described): Record<string, string> {
  const own = Object.entries(Metadata).map(([name, value]) => [`meta:${name}`, value] as const);
  const kept: Record<string, string> = {};
  let bytes = 0;
  for (const [name, value] of [['etag', ETag] as const, ['content_type', ContentType] as const, ...own]) {
    if (value === undefined) continue;
    bytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    if (bytes <= mostAttributeBytes) kept[name] = value;
  }
  return kept;
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
