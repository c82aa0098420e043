import { expect, test } from 'vitest';
import { seededRandom } from './random.ts';

test('gives the same draws for a seed, others for another', () => {
  const draws = (seed: number) => {
    const random = seededRandom(seed);
    return [random.next(), random.int(1, 1000), ...random.shuffle([1, 2, 3, 4, 5, 6, 7, 8]), random.fork().next()];
  };
  expect(draws(7)).toEqual(draws(7));
  expect(draws(7)).not.toEqual(draws(8));
});

test('draws evenly, both ends included', () => {
  const random = seededRandom(1);
  const counts = new Map<number, number>();
  for (let draw = 0; draw < 6000; draw += 1) {
    const value = random.int(1, 6);
    counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  expect([...counts.keys()].sort()).toEqual([1, 2, 3, 4, 5, 6]);
  for (const count of counts.values()) expect(Math.abs(count - 1000)).toBeLessThan(150);
});

test('a shuffle keeps every item', () => {
  const items = Array.from({ length: 50 }, (_, index) => index);
  const shuffled = seededRandom(3).shuffle(items);
  expect(shuffled).not.toEqual(items);
  expect(shuffled.toSorted((a, b) => a - b)).toEqual(items);
});
