import fc from 'fast-check';
import { expect, test } from 'vitest';
import { HashIndex, hashOf } from './hash-index.ts';

test('numbers are found by their hash among all others, also where hashes are the same', () => {
  const command = fc.record({ hash: fc.nat({ max: 40 }), key: fc.nat({ max: 3000 }) });
  fc.assert(
    fc.property(fc.array(command, { maxLength: 6000 }), (commands) => {
      const index = new HashIndex();
      /** Values are positions; what they mean is their key. */
      const meaning: string[] = [];
      const model = new Map<string, number>();
      for (const { hash, key } of commands) {
        const name = `${hash} ${key}`;
        const isMeant = (value: number) => meaning[value] === name;
        expect(index.find(hash, isMeant)).toBe(model.get(name));
        const value = meaning.push(name) - 1;
        index.put(hash, value, isMeant);
        model.set(name, value);
      }
      expect(index.count).toBe(model.size);
    }),
    { numRuns: 20 },
  );
});

test('it grows', () => {
  const index = new HashIndex();
  const hashes = Array.from({ length: 50_000 }, (_, value) => hashOf(`key ${value}`));
  for (const [value, hash] of hashes.entries()) index.put(hash, value, (found) => found === value);
  for (const [value, hash] of hashes.entries()) expect(index.find(hash, (found) => found === value)).toBe(value);
  expect(index.count).toBe(hashes.length);
  // Of so many names few have the same hash.
  expect(new Set(hashes).size).toBeGreaterThan(49_990);
});
