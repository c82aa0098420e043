import { expect, test } from 'vitest';
import { overLimitTenants } from './over-limit.ts';

const of = (tenantId: string, limit: number) => (fromMs: number, toMs: number) => ({ tenantId, limit, fromMs, toMs });

test('says nothing of tenants within their limits', () => {
  const [a, b] = [of('a', 1), of('b', 2)];
  expect(overLimitTenants([a(0, 10), a(10, 20), a(25, 30), b(0, 10), b(5, 15), b(10, 20)])).toEqual([]);
});

test('finds each moment at which a limit was passed', () => {
  const [a, b] = [of('a', 1), of('b', 2)];
  expect(overLimitTenants([a(0, 10), a(9, 20), b(0, 30), b(1, 30), b(2, 3), b(4, 5)])).toEqual([
    'tenant a had 2 of 1 in flight at 1970-01-01T00:00:00.009Z',
    'tenant b had 3 of 2 in flight at 1970-01-01T00:00:00.002Z',
    'tenant b had 3 of 2 in flight at 1970-01-01T00:00:00.004Z',
  ]);
});
