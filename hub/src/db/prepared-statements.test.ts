import { expect, test } from 'vitest';
import { createStatementNames } from './prepared-statements.ts';

test('a statement gets its name when it comes again and again, and keeps it', () => {
  const nameOf = createStatementNames();
  const names = [1, 2, 3, 4].map(() => nameOf('select $1'));
  expect(names.slice(0, 2)).toEqual([null, null]);
  expect(names[2]).toMatch(/^x[0-9a-f]{32}$/);
  expect(names[3]).toBe(names[2]);
  expect([1, 2, 3].map(() => nameOf('select $2')).at(-1)).not.toBe(names[2]);
});

test('texts without end get no names without end', () => {
  const nameOf = createStatementNames();
  const names = new Set<string>();
  for (let number = 0; number < 5_000; number += 1) {
    for (let time = 0; time < 3; time += 1) {
      const name = nameOf(`select ${number}`);
      if (name !== null) names.add(name);
    }
  }
  expect(names.size).toBe(400);
});
