import { XVaultError } from '@xvault/shared/errors.ts';

/** Sizes of one frame, in bytes, compressed and not. */
export interface FrameSize {
  readonly storedBytes: number;
  readonly contentBytes: number;
}

/** Reads a range of the compressed stream. */
export type ReadRange = (offset: number, length: number) => Promise<Buffer>;

/** The zstd seekable format, version 0.1.0: github.com/facebook/zstd/blob/dev/contrib/seekable_format */
const skippableMagic = 0x184d2a5e;
const seekableMagic = 0x8f92eab1;
const headerBytes = 8;
const footerBytes = 9;
const entryBytes = 8;
/** Of 4 GiB, before more room is taken. */
const firstEntries = 1024;
const checksumFlag = 0x80;
const reservedFlags = 0x7c;

/** More than any frame that is written; what is read is refused beyond it, so that damage cannot make it allocate. */
export const maxFrameBytes = 64 * 1024 * 1024;
/** 64 TiB of 4 MiB frames. */
const maxFrames = 16 * 1024 * 1024;

export function encodeSeekTable(frames: readonly FrameSize[]): Buffer {
  const builder = new SeekTableBuilder();
  for (const frame of frames) builder.add(frame);
  return builder.finish();
}

/** Gathers a seek table as it will be stored: of a stream of terabytes, objects would take many times as much. */
export class SeekTableBuilder {
  #table = Buffer.allocUnsafeSlow(headerBytes + firstEntries * entryBytes + footerBytes);
  #frameCount = 0;

  get frameCount(): number {
    return this.#frameCount;
  }

  add({ storedBytes, contentBytes }: FrameSize): void {
    const at = this.#end;
    if (at + entryBytes + footerBytes > this.#table.length) this.#grow();
    this.#table.writeUInt32LE(storedBytes, at);
    this.#table.writeUInt32LE(contentBytes, at + 4);
    this.#frameCount += 1;
  }

  /** The table with header and footer; nothing may be added afterwards. */
  finish(): Buffer {
    const out = this.#table.subarray(0, this.#end + footerBytes);
    out.writeUInt32LE(skippableMagic, 0);
    out.writeUInt32LE(out.length - headerBytes, 4);
    out.writeUInt32LE(this.#frameCount, this.#end);
    out.writeUInt8(0, this.#end + 4);
    out.writeUInt32LE(seekableMagic, this.#end + 5);
    return out;
  }

  get #end(): number {
    return headerBytes + this.#frameCount * entryBytes;
  }

  #grow(): void {
    const larger = Buffer.allocUnsafeSlow(2 * this.#table.length);
    this.#table.copy(larger, 0, 0, this.#end);
    this.#table = larger;
  }
}

/** Where frames begin; both arrays have one element more than there are frames: the ends. */
export interface FrameMap {
  readonly frameCount: number;
  readonly storedOffsets: Float64Array;
  readonly contentOffsets: Float64Array;
}

/** Reads the table at the end of a compressed stream; throws ARTIFACT_CORRUPT when it does not describe that stream. */
export async function readSeekTable(streamBytes: number, read: ReadRange): Promise<FrameMap> {
  if (streamBytes < headerBytes + footerBytes) throw corrupt('no room for a seek table');
  const footer = await read(streamBytes - footerBytes, footerBytes);
  if (footer.readUInt32LE(5) !== seekableMagic) throw corrupt('no seek table at the end');
  const frameCount = footer.readUInt32LE(0);
  const flags = footer.readUInt8(4);
  if (frameCount > maxFrames || (flags & reservedFlags) !== 0) throw corrupt('the seek table is out of bounds');
  const stride = (flags & checksumFlag) === 0 ? entryBytes : entryBytes + 4;
  const tableBytes = headerBytes + frameCount * stride + footerBytes;
  if (tableBytes > streamBytes) throw corrupt('the seek table is larger than its stream');
  const table = await read(streamBytes - tableBytes, tableBytes);
  if (table.readUInt32LE(0) !== skippableMagic || table.readUInt32LE(4) !== tableBytes - headerBytes) {
    throw corrupt('the seek table has a wrong header');
  }
  return frameMap(table, frameCount, stride, streamBytes - tableBytes);
}

function frameMap(table: Buffer, frameCount: number, stride: number, framesBytes: number): FrameMap {
  const storedOffsets = new Float64Array(frameCount + 1);
  const contentOffsets = new Float64Array(frameCount + 1);
  let stored = 0;
  let content = 0;
  for (let frame = 0; frame < frameCount; frame += 1) {
    const storedBytes = table.readUInt32LE(headerBytes + frame * stride);
    const contentBytes = table.readUInt32LE(headerBytes + frame * stride + 4);
    if (storedBytes > 2 * maxFrameBytes || contentBytes > maxFrameBytes) throw corrupt(`frame ${frame} is too large`);
    stored += storedBytes;
    content += contentBytes;
    storedOffsets[frame + 1] = stored;
    contentOffsets[frame + 1] = content;
  }
  if (stored !== framesBytes) throw corrupt('the frames do not fill the stream');
  return { frameCount, storedOffsets, contentOffsets };
}

function corrupt(what: string): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail: `zstd stream: ${what}` });
}
