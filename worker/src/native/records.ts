import type { EntryType, IndexEntry } from '../artifact/entry.ts';
import type { ItemCode, SkippedItem, SourceEntry } from '../connectors/connector.ts';

/** Entries go to native code and back as one buffer: it costs a tenth of objects. The other side is native/src/records.h. */
const kinds = ['file', 'directory', 'symlink', 'hardlink'] as const;
const skippedKind = 255;
const noBytes = Buffer.alloc(0);
const fixedBytes = 1 + 8 + 2 + 4 + 4 + 8 + 4;
const nsPerSecond = 1_000_000_000n;

/** What a record of an item is made of; a SourceEntry and an IndexEntry are such. */
export interface ItemFields {
  readonly path: Buffer;
  readonly type: EntryType;
  readonly sizeBytes: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeNs: bigint;
  readonly linkTarget?: Buffer | null;
  readonly hardLinkKey?: string;
}

/** Makes what native code reads. */
export class RecordWriter {
  #buffer: Buffer;
  #at = 0;

  constructor(initialBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(initialBytes);
  }

  get sizeBytes(): number {
    return this.#at;
  }

  item(item: ItemFields): void {
    this.#reserve(fixedBytes);
    const buffer = this.#buffer;
    let at = buffer.writeUInt8(kinds.indexOf(item.type), this.#at);
    at = buffer.writeDoubleLE(item.sizeBytes, at);
    at = buffer.writeUInt16LE(item.mode, at);
    at = buffer.writeUInt32LE(item.uid, at);
    at = buffer.writeUInt32LE(item.gid, at);
    const nanos = ((item.mtimeNs % nsPerSecond) + nsPerSecond) % nsPerSecond;
    at = buffer.writeBigInt64LE((item.mtimeNs - nanos) / nsPerSecond, at);
    this.#at = buffer.writeUInt32LE(Number(nanos), at);
    this.bytes(item.path);
    this.optional(item.linkTarget ?? undefined);
    this.optional(item.hardLinkKey === undefined ? undefined : Buffer.from(item.hardLinkKey, 'latin1'));
  }

  /** Where an item lies in the tar, and the rest of its index line. */
  place(entry: IndexEntry): void {
    this.f64(entry.paddingBytes);
    this.f64(entry.sparseBytes ?? -1);
    this.bytes(entry.sha256 === null ? noBytes : Buffer.from(entry.sha256, 'hex'));
    this.f64(entry.tarOffset);
    this.f64(entry.dataOffset);
    this.bytes(entry.pack === null ? noBytes : Buffer.from(entry.pack));
    this.u32(entry.xattrCount ?? 0);
  }

  u8(value: number): void {
    this.#reserve(1);
    this.#at = this.#buffer.writeUInt8(value, this.#at);
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#at = this.#buffer.writeUInt32LE(value, this.#at);
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#at = this.#buffer.writeDoubleLE(value, this.#at);
  }

  bytes(value: Buffer): void {
    this.#reserve(4 + value.length);
    this.#at = this.#buffer.writeUInt32LE(value.length, this.#at);
    this.#at += value.copy(this.#buffer, this.#at);
  }

  optional(value: Buffer | undefined): void {
    this.u8(value === undefined ? 0 : 1);
    if (value !== undefined) this.bytes(value);
  }

  /** What was written, not copied: good until {@link clear}. */
  finish(): Buffer {
    return this.#buffer.subarray(0, this.#at);
  }

  /** Begins anew in the same memory. */
  clear(): void {
    this.#at = 0;
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafeSlow(Math.max(this.#buffer.length * 2, this.#at + bytes));
    this.#buffer.copy(larger, 0, 0, this.#at);
    this.#buffer = larger;
  }
}

/** Reads what native code wrote. Buffers are views of it, not copies. */
export class RecordReader {
  readonly #buffer: Buffer;
  #at: number;

  constructor(buffer: Buffer, at = 0) {
    this.#buffer = buffer;
    this.#at = at;
  }

  item(): SourceEntry | SkippedItem {
    const kind = this.u8();
    if (kind === skippedKind) {
      const path = this.bytes();
      return { path, skipped: this.bytes().toString() as ItemCode, detail: this.bytes().toString() };
    }
    const buffer = this.#buffer;
    const at = this.#at;
    this.#at += fixedBytes - 1;
    const path = this.bytes();
    const linkTarget = this.optional();
    const hardLinkKey = this.optional();
    return {
      path,
      type: (kinds[kind] ?? 'file') as SourceEntry['type'],
      sizeBytes: buffer.readDoubleLE(at),
      mode: buffer.readUInt16LE(at + 8),
      uid: buffer.readUInt32LE(at + 10),
      gid: buffer.readUInt32LE(at + 14),
      mtimeNs: buffer.readBigInt64LE(at + 18) * nsPerSecond + BigInt(buffer.readUInt32LE(at + 26)),
      ...(linkTarget === undefined ? {} : { linkTarget }),
      ...(hardLinkKey === undefined ? {} : { hardLinkKey: hardLinkKey.toString('latin1') }),
    };
  }

  u8(): number {
    this.#at += 1;
    return this.#buffer.readUInt8(this.#at - 1);
  }

  u32(): number {
    this.#at += 4;
    return this.#buffer.readUInt32LE(this.#at - 4);
  }

  bytes(): Buffer {
    const length = this.u32();
    this.#at += length;
    return this.#buffer.subarray(this.#at - length, this.#at);
  }

  optional(): Buffer | undefined {
    return this.u8() === 0 ? undefined : this.bytes();
  }
}
