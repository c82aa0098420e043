/** SFTP version 3 (draft-ietf-secsh-filexfer-02): message types, and their fields as raw bytes. */
export const messageType = {
  init: 1,
  version: 2,
  open: 3,
  close: 4,
  read: 5,
  write: 6,
  lstat: 7,
  fstat: 8,
  setstat: 9,
  fsetstat: 10,
  opendir: 11,
  readdir: 12,
  remove: 13,
  mkdir: 14,
  realpath: 16,
  stat: 17,
  rename: 18,
  readlink: 19,
  symlink: 20,
  status: 101,
  handle: 102,
  data: 103,
  name: 104,
  attrs: 105,
  extended: 200,
  extendedReply: 201,
} as const;

const attrFlag = { size: 1, uidGid: 2, permissions: 4, times: 8, extended: 0x80000000 } as const;

export interface Attrs {
  /** Undefined where the server does not tell. */
  readonly sizeBytes: number | undefined;
  readonly uid: number;
  readonly gid: number;
  /** With the file type's bits; undefined where the server does not tell. */
  readonly permissions: number | undefined;
  readonly mtimeNs: bigint;
}

/** Permission bits and seconds of the last change, as the fields of a request; whatever is absent stays as it is. */
export function attrFields(mode: number | undefined, mtimeSeconds: number | undefined): number[] {
  const flags = (mode === undefined ? 0 : attrFlag.permissions) | (mtimeSeconds === undefined ? 0 : attrFlag.times);
  const times = mtimeSeconds === undefined ? [] : [mtimeSeconds, mtimeSeconds];
  return [flags, ...(mode === undefined ? [] : [mode]), ...times];
}

export interface NamedItem {
  readonly name: Buffer;
  /** A line as of `ls -l`. */
  readonly longName: Buffer;
  readonly attrs: Attrs;
}

/** `u32 length, u8 type, u32 id`, then fields: a number is a u32, a bigint a u64, a Buffer a length-prefixed string. */
export function encodeRequest(type: number, id: number, fields: readonly (Buffer | number | bigint)[]): Buffer {
  let length = 9;
  for (const field of fields) length += sizeOf(field);
  const packet = Buffer.allocUnsafe(length);
  packet.writeUInt32BE(length - 4, 0);
  packet[4] = type;
  packet.writeUInt32BE(id, 5);
  let at = 9;
  for (const field of fields) {
    if (typeof field === 'number') packet.writeUInt32BE(field, at);
    else if (typeof field === 'bigint') packet.writeBigUInt64BE(field, at);
    else field.copy(packet, packet.writeUInt32BE(field.length, at));
    at += sizeOf(field);
  }
  return packet;
}

function sizeOf(field: Buffer | number | bigint): number {
  if (typeof field === 'number') return 4;
  return typeof field === 'bigint' ? 8 : 4 + field.length;
}

/** Reads fields off a packet. Throws RangeError when the packet is shorter than it claims. */
export class PacketReader {
  readonly #packet: Buffer;
  #at: number;

  constructor(packet: Buffer, offset: number) {
    this.#packet = packet;
    this.#at = offset;
  }

  u32(): number {
    this.#at += 4;
    return this.#packet.readUInt32BE(this.#at - 4);
  }

  u64(): bigint {
    this.#at += 8;
    return this.#packet.readBigUInt64BE(this.#at - 8);
  }

  /** A view of the packet, not a copy. */
  bytes(): Buffer {
    const length = this.u32();
    const start = this.#at;
    if (start + length > this.#packet.length) throw new RangeError('a string runs over the end of its packet');
    this.#at += length;
    return this.#packet.subarray(start, this.#at);
  }

  attrs(): Attrs {
    const flags = this.u32();
    const sizeBytes = flags & attrFlag.size ? Number(this.u64()) : undefined;
    const uid = flags & attrFlag.uidGid ? this.u32() : 0;
    const gid = flags & attrFlag.uidGid ? this.u32() : 0;
    const permissions = flags & attrFlag.permissions ? this.u32() : undefined;
    let mtimeNs = 0n;
    if (flags & attrFlag.times) {
      this.u32();
      mtimeNs = mtimeFromWire(this.u32());
    }
    if (flags & attrFlag.extended) {
      for (let left = this.u32(); left > 0; left -= 1) {
        this.bytes();
        this.bytes();
      }
    }
    return { sizeBytes, uid, gid, permissions, mtimeNs };
  }

  names(): NamedItem[] {
    const items: NamedItem[] = [];
    for (let left = this.u32(); left > 0; left -= 1) {
      items.push({ name: this.bytes(), longName: this.bytes(), attrs: this.attrs() });
    }
    return items;
  }
}

/**
 * Version 3 has 32 unsigned bits of seconds, and servers cut older times to them: 1960 arrives as 2096. Files from before
 * 1970 exist and files from after 2038 do not yet, so the upper half is read as negative.
 */
function mtimeFromWire(seconds: number): bigint {
  return BigInt(seconds | 0) * 1_000_000_000n;
}
