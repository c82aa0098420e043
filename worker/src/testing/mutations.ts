/** For tests: damages bytes in the ways that disks, networks and forgers do. */
import fc from 'fast-check';

type Mutation = (data: Buffer) => Buffer;

/** A place in data whose length is not known yet. */
const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const at = (data: Buffer, where: number): number => Math.floor(where * data.length);

const flipBit: fc.Arbitrary<Mutation> = fc.tuple(place, fc.nat(7)).map(([where, bit]) => (data) => {
  const copy = Buffer.from(data);
  const offset = at(data, where);
  if (data.length > 0) copy[offset] = (copy[offset] ?? 0) ^ (1 << bit);
  return copy;
});
const cutOff: fc.Arbitrary<Mutation> = place.map((where) => (data) => data.subarray(0, at(data, where)));
const cutOffEnd: fc.Arbitrary<Mutation> = fc
  .integer({ min: 1, max: 64 })
  .map((count) => (data) => data.subarray(0, -count));
const insert: fc.Arbitrary<Mutation> = fc
  .tuple(place, fc.uint8Array({ minLength: 1, maxLength: 40 }))
  .map(([where, bytes]) => (data) => {
    const offset = at(data, where);
    return Buffer.concat([data.subarray(0, offset), bytes, data.subarray(offset)]);
  });
/** Lengths and counts are mostly such numbers, so one of them soon becomes huge. */
const hugeNumber: fc.Arbitrary<Mutation> = fc
  .tuple(place, fc.constantFrom(0, 1, 0x7fffffff, 0x80000000, 0xffffffff), fc.boolean())
  .map(([where, value, fromEnd]) => (data) => {
    if (data.length < 4) return data;
    const copy = Buffer.from(data);
    const offset = fromEnd ? Math.max(data.length - 4 - Math.floor(where * 64), 0) : at(data.subarray(3), where);
    copy.writeUInt32LE(value, offset);
    return copy;
  });
const moveSlice: fc.Arbitrary<Mutation> = fc
  .tuple(place, place, place, fc.boolean())
  .map(([from, to, length, duplicate]) => (data) => {
    const start = at(data, from);
    const slice = Buffer.from(data.subarray(start, start + Math.ceil(length * (data.length - start))));
    const rest = duplicate ? data : Buffer.concat([data.subarray(0, start), data.subarray(start + slice.length)]);
    const target = at(rest, to);
    return Buffer.concat([rest.subarray(0, target), slice, rest.subarray(target)]);
  });
const swapBlocks = (blockBytes: number): fc.Arbitrary<Mutation> =>
  fc.tuple(fc.nat(20), fc.nat(20)).map(([one, other]) => (data) => {
    const blocks: Buffer[] = [];
    for (let offset = 0; offset < data.length; offset += blockBytes)
      blocks.push(data.subarray(offset, offset + blockBytes));
    const [a, b] = [one % Math.max(blocks.length, 1), other % Math.max(blocks.length, 1)];
    const [first, second] = [blocks[a], blocks[b]];
    if (first === undefined || second === undefined) return data;
    blocks[a] = second;
    blocks[b] = first;
    return Buffer.concat(blocks);
  });
const zeroed: fc.Arbitrary<Mutation> = fc.tuple(place, fc.nat(200)).map(([where, length]) => (data) => {
  const copy = Buffer.from(data);
  copy.fill(0, at(data, where), Math.min(at(data, where) + length, copy.length));
  return copy;
});

/** One to four kinds of damage after each other; `blockBytes` is what the format is made of. */
export function damaged(data: Buffer, blockBytes: number): fc.Arbitrary<Buffer> {
  const one = fc.oneof(flipBit, cutOff, cutOffEnd, insert, hugeNumber, moveSlice, swapBlocks(blockBytes), zeroed);
  return fc.array(one, { minLength: 1, maxLength: 4 }).map((mutations) => {
    let result = data;
    for (const mutate of mutations) result = mutate(result);
    return Buffer.from(result);
  });
}

/** Always the same cases in a plain run of the tests; `XVAULT_FUZZ_RUNS` makes it that many, and other ones each time. */
export function fuzzRuns(numRuns: number): fc.Parameters<unknown> {
  const more = Number(process.env.XVAULT_FUZZ_RUNS ?? 0);
  return more > 0 ? { numRuns: more } : { numRuns, seed: 20261121 };
}
