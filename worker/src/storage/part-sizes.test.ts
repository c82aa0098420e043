import { expect, test } from 'vitest';
import { maxParts, nextPartBytes, partsInFlight } from './part-sizes.ts';

const gibibyte = 1024 ** 3;

function partsFor(totalBytes: number): { count: number; largest: number } {
  let count = 0;
  let largest = 0;
  for (let sent = 0; sent < totalBytes; count += 1) {
    largest = nextPartBytes(sent);
    sent += largest;
  }
  return { count, largest };
}

test('any length up to 5 TiB fits into the parts that S3 allows, each within its limits', () => {
  const { count, largest } = partsFor(5 * 1024 * gibibyte);
  expect(count).toBeLessThanOrEqual(maxParts);
  expect(largest).toBeLessThanOrEqual(5 * gibibyte);
});

test('parts stay small for a long time', () => {
  expect(nextPartBytes(0)).toBe(8 * 1024 * 1024);
  expect(partsFor(10 * gibibyte).largest).toBe(8 * 1024 * 1024);
  expect(partsFor(100 * gibibyte).largest).toBeLessThan(80 * 1024 * 1024);
});

test('large parts go one at a time', () => {
  expect(partsInFlight(8 * 1024 * 1024)).toBe(4);
  expect(partsInFlight(gibibyte)).toBe(1);
});
