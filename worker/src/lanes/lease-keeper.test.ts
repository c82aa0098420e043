import { expect, test } from 'vitest';
import { beatTimeoutMs } from './lease-keeper.ts';

const run = (lease_ms: number) => ({ start: { lease_ms } });

test('a heartbeat is given up early enough to be tried again within the shortest lease', () => {
  expect(beatTimeoutMs([])).toBe(10_000);
  expect(beatTimeoutMs([run(90_000)])).toBe(10_000);
  expect(beatTimeoutMs([run(90_000), run(6_000)])).toBe(2_000);
});
