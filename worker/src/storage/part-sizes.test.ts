import { expect, test } from 'vitest';
import { copyPlan, maxParts, nextPartBytes, partsInFlight } from './part-sizes.ts';

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

test.each([16 * 1024 ** 2, 100 * 1024 ** 2, 7 * gibibyte, 64 * gibibyte, 700 * gibibyte, 5 * 1024 * gibibyte - 5000])(
  'a copy of %i bytes is within the limits, and little of it passes through',
  (bytes) => {
    const plan = copyPlan(5000, bytes);
    if (plan === null) throw new Error('no plan');
    const { firstBytes, partBytes } = plan;
    expect(1 + Math.ceil((bytes - firstBytes) / partBytes)).toBeLessThanOrEqual(maxParts);
    expect(partBytes).toBeLessThanOrEqual(5 * gibibyte);
    expect(firstBytes + 5000).toBeLessThanOrEqual(64 * 1024 * 1024);
    expect(firstBytes + 5000).toBeGreaterThanOrEqual(5 * 1024 * 1024);
    expect(firstBytes / bytes).toBeLessThanOrEqual(0.5);
    // Some servers want all parts but the last to be of one size.
    if (bytes <= 64 * gibibyte - 5000) expect(firstBytes + 5000).toBe(partBytes);
  },
);

test('what is not much larger than a part is not copied', () => {
  expect(copyPlan(5000, 16 * 1024 ** 2 - 1)).toBeNull();
});
