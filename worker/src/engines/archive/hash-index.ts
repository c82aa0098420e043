const firstCapacity = 1024;
/** Slots in use, of eight. */
const fullEighths = 6;

/** Numbers by hash, 12 bytes a slot; the caller tells apart what has the same hash. */
export class HashIndex {
  #hashes = new Uint32Array(firstCapacity);
  /** Plus one; 0 is an empty slot. */
  #values = new Float64Array(firstCapacity);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** The value with this hash that is meant. */
  find(hash: number, isMeant: (value: number) => boolean): number | undefined {
    const mask = this.#values.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const stored = this.#values[slot] ?? 0;
      if (stored === 0) return undefined;
      if (this.#hashes[slot] === hash && isMeant(stored - 1)) return stored - 1;
    }
  }

  /** Replaces the value with this hash that is meant, or adds one. */
  put(hash: number, value: number, isMeant: (value: number) => boolean): void {
    if (8 * this.#count >= fullEighths * this.#values.length) this.#grow();
    const mask = this.#values.length - 1;
    let slot = hash & mask;
    for (; this.#values[slot] !== 0; slot = (slot + 1) & mask) {
      if (this.#hashes[slot] === hash && isMeant((this.#values[slot] ?? 0) - 1)) break;
    }
    if (this.#values[slot] === 0) this.#count += 1;
    this.#hashes[slot] = hash;
    this.#values[slot] = value + 1;
  }

  #grow(): void {
    const [hashes, values] = [this.#hashes, this.#values];
    const mask = 2 * values.length - 1;
    this.#hashes = new Uint32Array(mask + 1);
    this.#values = new Float64Array(mask + 1);
    for (let from = 0; from < values.length; from += 1) {
      const value = values[from] ?? 0;
      if (value === 0) continue;
      const hash = hashes[from] ?? 0;
      let slot = hash & mask;
      while (this.#values[slot] !== 0) slot = (slot + 1) & mask;
      this.#hashes[slot] = hash;
      this.#values[slot] = value;
    }
  }
}

/** 32 bits: FNV-1a, mixed as MurmurHash3 does at its end. */
export function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
