import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createBatcher, createReader } from './batcher.ts';

/** A batcher whose batches end when the test says so. */
function held(maxItems?: number) {
  const batches: { items: readonly string[]; end: () => void }[] = [];
  const ask = createBatcher<string, string>({
    keyOf: (item) => item,
    ...(maxItems === undefined ? {} : { maxItems }),
    carryOut: (items) =>
      new Promise((resolve) => {
        batches.push({ items, end: () => resolve(items.map((item) => ({ value: `${item}!` }))) });
      }),
  });
  const turn = () => new Promise((resolve) => setTimeout(resolve, 1));
  return { ask, batches, turn };
}

test('what comes while a batch is under way is done with the next, and never with the one before', async () => {
  const { ask, batches, turn } = held();
  const first = ask('a');
  await turn();
  const others = [ask('b'), ask('c')];
  await turn();
  expect(batches.map(({ items }) => items)).toEqual([['a']]);
  batches[0]?.end();
  expect(await first).toBe('a!');
  await turn();
  expect(batches.map(({ items }) => items)).toEqual([['a'], ['b', 'c']]);
  batches[1]?.end();
  expect(await Promise.all(others)).toEqual(['b!', 'c!']);
});

test('two of one key are not in one batch, nor more than fit', async () => {
  const { ask, batches, turn } = held(2);
  const asked = ['a', 'a', 'b', 'c'].map(ask);
  for (let number = 0; number < 2; number += 1) {
    // After several the next batch takes a moment to begin.
    while (batches.length <= number) await turn();
    batches[number]?.end();
  }
  expect(await Promise.all(asked)).toEqual(['a!', 'a!', 'b!', 'c!']);
  expect(batches.map(({ items }) => items)).toEqual([
    ['a', 'b'],
    ['a', 'c'],
  ]);
});

test('one that spoils its batch fails alone, whatever is asked with it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.record({ id: fc.nat(), bad: fc.boolean() }), { maxLength: 20 }), async (items) => {
      const done: number[] = [];
      const ask = createBatcher<{ id: number; bad: boolean }, number>({
        maxItems: 7,
        carryOut: async (some) => {
          if (some.some(({ bad }) => bad)) throw new Error('spoilt');
          done.push(...some.map(({ id }) => id));
          return some.map(({ id }) => ({ value: id }));
        },
      });
      const ends = await Promise.allSettled(items.map(ask));
      expect(ends.map((end) => (end.status === 'fulfilled' ? end.value : 'failed'))).toEqual(
        items.map(({ id, bad }) => (bad ? 'failed' : id)),
      );
      expect(done.toSorted()).toEqual(items.flatMap(({ id, bad }) => (bad ? [] : [id])).toSorted());
    }),
  );
});

test('while the database is away no item waits for the one before it to find that out', async () => {
  const refused = Object.assign(new Error('nobody listens'), { code: 'ECONNREFUSED' });
  let isAway = true;
  const tried: (readonly number[])[] = [];
  const ask = createBatcher<number, number>({
    carryOut: async (items) => {
      tried.push(items);
      if (isAway) throw refused;
      return items.map((value) => ({ value }));
    },
  });
  const ends = await Promise.allSettled([1, 2, 3, 4].map(ask));
  expect(ends).toEqual([1, 2, 3, 4].map(() => ({ status: 'rejected', reason: refused })));
  expect(tried).toEqual([[1, 2, 3, 4], [1]]);
  isAway = false;
  expect(await Promise.all([5, 6].map(ask))).toEqual([5, 6]);
});

test('what a lost connection spoilt is done again, each for itself', async () => {
  let lost = 0;
  const ask = createBatcher<number, number>({
    carryOut: async (items) => {
      lost += 1;
      if (lost === 1) throw new Error('Connection terminated unexpectedly');
      return items.map((value) => ({ value }));
    },
  });
  expect(await Promise.all([1, 2, 3].map(ask))).toEqual([1, 2, 3]);
});

test('an outcome that is an error is its item’s alone', async () => {
  const ask = createBatcher<number, number>({
    carryOut: async (items) => items.map((item) => (item < 0 ? { error: new Error('negative') } : { value: item })),
  });
  expect((await Promise.allSettled([1, -1, 2].map(ask))).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
  ]);
});

test('reads of one moment ask for each key once', async () => {
  const asked: (readonly string[])[] = [];
  const read = createReader(async (keys) => {
    asked.push(keys);
    return new Map(keys.filter((key) => key !== 'none').map((key) => [key, key.length]));
  });
  expect(await Promise.all(['a', 'bb', 'a', 'none'].map(read))).toEqual([1, 2, 1, undefined]);
  expect(asked).toEqual([['a', 'bb', 'none']]);
});
