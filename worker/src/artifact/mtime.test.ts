import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decimalSeconds, fixedSeconds, fixedSecondsPattern, parseFixedSeconds } from './mtime.ts';

test.each([
  [0n, '0', '0.000000000'],
  [1_500_000_000n, '1.5', '1.500000000'],
  [-1_500_000_000n, '-1.5', '-1.500000000'],
  [-1n, '-0.000000001', '-0.000000001'],
  [-2_000_000_000n, '-2', '-2.000000000'],
  [1_700_000_000_123_456_789n, '1700000000.123456789', '1700000000.123456789'],
])('%i ns', (ns, short, fixed) => {
  expect(decimalSeconds(ns)).toBe(short);
  expect(fixedSeconds(ns)).toBe(fixed);
});

test('the fixed form gives every time back', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }), (ns) => {
      expect(fixedSeconds(ns)).toMatch(fixedSecondsPattern);
      expect(parseFixedSeconds(fixedSeconds(ns))).toBe(ns);
    }),
  );
});
