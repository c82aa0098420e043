import { describe, expect, it } from 'vitest';
import { guardDeletes } from './delete-guard.ts';

const paths = (count: number) => new Set(Array.from({ length: count }, (_, index) => `file ${index}`));
const limits = (percent: number, count: number | null = null, mode: 'sync' | 'copy' | 'mirror' = 'sync') => ({
  mode,
  max_delete_percent: percent,
  max_delete_count: count,
  include: [],
  exclude: [],
});

describe('the guard of deletions', () => {
  it.each([
    ['a first run', 0, 5, limits(0), 0],
    ['nothing removed, nothing allowed', 5, 5, limits(0), 0],
    ['just as many as the share allows', 10, 5, limits(50), 5],
    ['a share is rounded down', 3, 2, limits(50), 1],
    ['just as many as the count allows', 10, 8, limits(100, 2), 2],
    ['the smaller of the two', 10, 9, limits(50, 1), 1],
    ['copy removes nothing and is not asked', 10, 0, limits(0, 0, 'copy'), 0],
    ['empty before and now', 0, 0, limits(0), 0],
  ] as const)('lets through: %s', (_, before, now, allowed, may) => {
    expect(guardDeletes(paths(before), paths(now), allowed)).toBe(may);
  });

  it.each([
    ['one more than the share', 10, 4, limits(50)],
    ['one more than the count', 10, 7, limits(100, 2)],
    ['any, where none is allowed', 2, 1, limits(0)],
    ['a source that has become empty, whatever is allowed', 10, 0, limits(100)],
    ['a mirror as well', 10, 1, limits(50, null, 'mirror')],
  ] as const)('stops: %s', (_, before, now, allowed) => {
    expect(() => guardDeletes(paths(before), paths(now), allowed)).toThrow(
      expect.objectContaining({ code: 'SYNC_DELETE_GUARD', retryable: false }),
    );
  });

  it('says how many it would have been', () => {
    expect(() => guardDeletes(paths(10), paths(2), limits(50))).toThrow(
      expect.objectContaining({ params: { deletes: 8, objects: 10, allowed: 5 } }),
    );
  });

  describe('leaves uncounted what the patterns leave out', () => {
    const before = new Set(['cache/a', 'cache/b', 'cache/c', 'line␊end', 'one', 'two', 'three', 'four']);
    const source = new Set(['one', 'two', 'three', 'four']);

    it('as rclone sees it on neither side', () => {
      const exclude = ['cache/', 'line?end'];
      expect(guardDeletes(before, source, { ...limits(25), exclude })).toBe(1);
      expect(guardDeletes(before, source, { ...limits(0), include: ['/*o*', '/three'] })).toBe(0);
    });

    it('and counts the rest by what is compared', () => {
      const few = { ...limits(50), exclude: ['cache/', 'line?end'] };
      expect(guardDeletes(before, new Set(['one', 'two']), few)).toBe(2);
      expect(() => guardDeletes(before, new Set(['one']), few)).toThrow(
        expect.objectContaining({ params: { deletes: 3, objects: 4, allowed: 2 } }),
      );
    });

    it('but a source of which nothing is left stops it', () => {
      expect(() => guardDeletes(before, new Set(), { ...limits(100), exclude: ['*'] })).toThrow(
        expect.objectContaining({ code: 'SYNC_DELETE_GUARD' }),
      );
    });
  });
});
