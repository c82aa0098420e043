import { expect, test } from 'vitest';
import { median, percentile, round } from './statistics.ts';

test('the median is the middle, whatever the order', () => {
  expect(median([9, 1, 5])).toBe(5);
  expect(median([4, 1, 2, 100])).toBe(3);
  expect(() => median([])).toThrow();
  expect(round(1.23456)).toBe(1.235);
});

test('a percentile is one of the values', () => {
  const values = Array.from({ length: 200 }, (_, index) => 200 - index);
  expect([percentile(values, 50), percentile(values, 99), percentile(values, 100), percentile([7], 1)]).toEqual([
    100, 198, 200, 7,
  ]);
  expect(() => percentile([], 50)).toThrow();
});
