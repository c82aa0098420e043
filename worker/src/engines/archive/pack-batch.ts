import { type ItemCode, isSkipped, type SkippedItem } from '../../connectors/connector.ts';
import type { PackedFrame } from '../../native/binding.ts';
import { RecordReader } from '../../native/records.ts';

/** What came of a batch: a frame in a buffer. */
export interface PackedBatch {
  readonly frame: PackedFrame;
  readonly target: Buffer;
}

/** A remark on one operation: it is left out, or stored although something is the matter with it. */
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

const storedAllTheSame: ReadonlySet<ItemCode> = new Set(['ITEM_CHANGED', 'ITEM_ATTRIBUTES_LEFT_OUT']);

/** Positions of what is not in the frame. */
export function leftOut(notes: readonly PackNote[]): Set<number> {
  return new Set(notes.filter(({ item }) => !storedAllTheSame.has(item.skipped)).map(({ at }) => at));
}
