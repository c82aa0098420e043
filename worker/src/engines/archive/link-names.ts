import { randomUUID } from 'node:crypto';
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { HashIndex, hashOf } from './hash-index.ts';

/** Up to so many are kept in memory alone: about 12 MB. */
const fewNames = 40_000;
const gatheredBytes = 64 * 1024;
/** Length of the key, length of the path. */
const headBytes = 8;
/** Most records are read with one call. */
const usualBytes = 512;
/** Later names mostly come in the order of the first ones. */
const aheadBytes = 8 * 1024;

/**
 * The path that holds the content, by the key of a file with several names. Of many such files only 12 to 32 bytes each are held in
 * memory; keys and paths are in a temporary file without a name. Throws XVaultError INTERNAL where that cannot be written.
 */
export class LinkNames {
  #few: Map<string, Buffer> | undefined = new Map();
  #spilled: SpilledNames | undefined;
  readonly #mostInMemory: number;
  /** What was asked last: mostly it is asked twice. */
  #last: { readonly key: string; readonly path: Buffer | undefined } | undefined;

  constructor(mostInMemory = fewNames) {
    this.#mostInMemory = mostInMemory;
  }

  get(key: string): Buffer | undefined {
    if (this.#few !== undefined) return this.#few.get(key);
    if (this.#last?.key !== key) this.#last = { key, path: this.#spilled?.get(key) };
    return this.#last.path;
  }

  has(key: string): boolean {
    return this.get(key) !== undefined;
  }

  /** Keeps a copy of the path: it may be a view of something much larger. */
  set(key: string, path: Buffer): void {
    if (this.#few === undefined) {
      this.#last = undefined;
      this.#spilled?.set(key, path);
      return;
    }
    this.#few.set(key, Buffer.from(path));
    if (this.#few.size > this.#mostInMemory) this.#spill(this.#few);
  }

  /** Nothing is known afterwards. */
  close(): void {
    this.#few = undefined;
    this.#last = undefined;
    this.#spilled?.close();
    this.#spilled = undefined;
  }

  #spill(few: ReadonlyMap<string, Buffer>): void {
    this.#spilled = new SpilledNames();
    this.#few = undefined;
    for (const [key, path] of few) this.#spilled.set(key, path);
  }
}

/** Records of key and path in a file that is gone when it is closed, or its process ends. A later path of a key takes the place of the earlier. */
class SpilledNames {
  readonly #fd = openUnnamed();
  readonly #index = new HashIndex();
  readonly #gathered = Buffer.allocUnsafeSlow(gatheredBytes);
  #record: Buffer = Buffer.allocUnsafeSlow(usualBytes);
  #filled = 0;
  #writtenBytes = 0;
  readonly #ahead = Buffer.allocUnsafeSlow(aheadBytes);
  #aheadAt = 0;
  #aheadBytes = 0;

  get(key: string): Buffer | undefined {
    const keyBytes = Buffer.from(key);
    const at = this.#index.find(hashOf(key), (offset) => this.#isKey(offset, keyBytes));
    if (at === undefined) return undefined;
    const start = headBytes + keyBytes.length;
    return Buffer.from(this.#record.subarray(start, start + this.#record.readUInt32LE(4)));
  }

  set(key: string, path: Buffer): void {
    const keyBytes = Buffer.from(key);
    const record = Buffer.allocUnsafe(headBytes + keyBytes.length + path.length);
    record.writeUInt32LE(keyBytes.length, 0);
    record.writeUInt32LE(path.length, 4);
    keyBytes.copy(record, headBytes);
    path.copy(record, headBytes + keyBytes.length);
    const offset = this.#writtenBytes + this.#filled;
    this.#index.put(hashOf(key), offset, (at) => this.#isKey(at, keyBytes));
    this.#append(record);
  }

  close(): void {
    closeSync(this.#fd);
  }

  /** Leaves the whole record in `#record` where it is. */
  #isKey(at: number, key: Buffer): boolean {
    let have = this.#read(at, usualBytes);
    const keyBytes = this.#record.readUInt32LE(0);
    if (keyBytes !== key.length) return false;
    const whole = headBytes + keyBytes + this.#record.readUInt32LE(4);
    if (have < whole) have = this.#read(at, whole);
    if (have < whole) throw broken(new Error('a record is cut off'));
    return this.#record.compare(key, 0, key.length, headBytes, headBytes + keyBytes) === 0;
  }

  /** Up to `length` bytes from `at` into `#record`. */
  #read(at: number, length: number): number {
    if (this.#record.length < length) this.#record = Buffer.allocUnsafeSlow(length);
    if (at >= this.#writtenBytes) return this.#gathered.copy(this.#record, 0, at - this.#writtenBytes, this.#filled);
    const start = at - this.#aheadAt;
    if (start >= 0 && start + length <= this.#aheadBytes)
      return this.#ahead.copy(this.#record, 0, start, start + length);
    try {
      if (length > aheadBytes) return readSync(this.#fd, this.#record, 0, length, at);
      this.#aheadAt = at;
      this.#aheadBytes = 0;
      this.#aheadBytes = readSync(this.#fd, this.#ahead, 0, aheadBytes, at);
    } catch (cause) {
      throw broken(cause);
    }
    return this.#ahead.copy(this.#record, 0, 0, Math.min(length, this.#aheadBytes));
  }

  #append(record: Buffer): void {
    if (this.#filled + record.length > gatheredBytes) this.#flush(this.#gathered.subarray(0, this.#filled));
    if (record.length > gatheredBytes) this.#flush(record);
    else this.#filled += record.copy(this.#gathered, this.#filled);
  }

  #flush(bytes: Buffer): void {
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#writtenBytes + done);
      }
    } catch (cause) {
      throw broken(cause);
    }
    this.#writtenBytes += bytes.length;
    if (bytes.buffer === this.#gathered.buffer) this.#filled = 0;
  }
}

function openUnnamed(): number {
  const path = join(tmpdir(), `xvault-names-${randomUUID()}`);
  try {
    const fd = openSync(path, 'wx+', 0o600);
    unlinkSync(path);
    return fd;
  } catch (cause) {
    throw broken(cause);
  }
}

function broken(cause: unknown): XVaultError {
  return new XVaultError('INTERNAL', { detail: `the temporary file of hard links: ${String(cause)}`, cause });
}
