import { expect, test } from 'vitest';
import { BoundedQueue } from './backup-queue.ts';

test('the producer waits while the queue is full, the item at the consumer included', async () => {
  const queue = new BoundedQueue<number>(2);
  let made = 0;
  const producing = (async () => {
    for (let item = 0; item < 10; item += 1) {
      await queue.push(() => {
        made += 1;
        return item;
      });
    }
    queue.close();
  })();
  const seen: number[] = [];
  for await (const item of queue) {
    seen.push(item);
    await new Promise((resolve) => setImmediate(resolve));
    expect(made).toBeLessThanOrEqual(item + 2);
  }
  await producing;
  expect(seen).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test('the consumer gets what was there before an error, then the error', async () => {
  const queue = new BoundedQueue<number>(5);
  await queue.push(() => 1);
  queue.fail(new Error('first'));
  queue.fail(new Error('second'));
  const seen: number[] = [];
  const consuming = (async () => {
    for await (const item of queue) seen.push(item);
  })();
  await expect(consuming).rejects.toThrow('first');
  expect(seen).toEqual([1]);
});

test('closing lets a waiting producer go, and nothing more is made', async () => {
  const queue = new BoundedQueue<number>(1);
  await queue.push(() => 1);
  const waiting = queue.push(() => expect.fail('made after the end'));
  queue.close();
  await waiting;
  expect(queue.closed).toBe(true);
});
