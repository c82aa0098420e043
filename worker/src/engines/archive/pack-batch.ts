import { isSkipped, type SkippedItem, type SourceEntry } from '../../connectors/connector.ts';
import type { PackedFrame } from '../../native/binding.ts';
import { RecordReader, RecordWriter } from '../../native/records.ts';
import type { PackOperations } from '../../native/threads.ts';

/** A name of a file that has more than one. */
export interface LinkedName {
  /** Position in the batch. */
  readonly at: number;
  readonly key: string;
  /** The name that this one is stored as a hard link to; absent for the name that holds the content. */
  readonly firstName: Buffer | undefined;
}

/** Where the content of a file is that has a name already: the path, by the file's hard link key. */
export interface FirstNames {
  get(key: string): Buffer | undefined;
}

/** Items that become one frame, as operations for native code. */
export interface PackBatch {
  readonly entries: readonly SourceEntry[];
  readonly records: Buffer;
  readonly linked: readonly LinkedName[];
}

/** What came of a batch: a frame in a buffer. */
export interface PackedBatch {
  readonly frame: PackedFrame;
  readonly target: Buffer;
}

/** Later names become links to what `firstNames` says, else to the first one in the batch. */
export function makeBatch(entries: readonly SourceEntry[], firstNames: FirstNames): PackBatch {
  const records = new RecordWriter(entries.length * 128);
  const linked: LinkedName[] = [];
  const own = new Map<string, Buffer>();
  for (const [at, entry] of entries.entries()) {
    const { path, hardLinkKey: key } = entry;
    const firstName = key === undefined ? undefined : (own.get(key) ?? firstNames.get(key));
    if (key !== undefined) linked.push({ at, key, firstName });
    if (key !== undefined && firstName === undefined) own.set(key, path);
    if (firstName === undefined) records.item(entry);
    else records.item({ ...entry, type: 'hardlink', sizeBytes: 0, linkTarget: firstName });
  }
  return { entries, records: records.finish(), linked };
}

export function operationsOf({ records, entries }: PackBatch, from: number): PackOperations {
  return { records, count: entries.length, from };
}

/** A remark on one operation: it is left out, or (ITEM_CHANGED) its content changed while it was read. */
export interface PackNote {
  readonly at: number;
  readonly item: SkippedItem;
}

export function notesOf({ notes, noteCount }: PackedFrame): PackNote[] {
  const reader = new RecordReader(notes);
  return Array.from({ length: noteCount }, () => {
    const at = reader.u32();
    const item = reader.item();
    if (!isSkipped(item)) throw new TypeError('a note that is not one');
    return { at, item };
  });
}

/** Positions of what is not in the frame. */
export function leftOut(notes: readonly PackNote[]): Set<number> {
  return new Set(notes.filter(({ item }) => item.skipped !== 'ITEM_CHANGED').map(({ at }) => at));
}
