import { expect, test } from 'vitest';
import { Slots } from './slots.ts';

const never = new AbortController().signal;

test('no more than the limit hold a slot, and the longest waiter is next', async () => {
  const slots = new Slots(2);
  await slots.acquire(never);
  await slots.acquire(never);
  const order: string[] = [];
  const first = slots.acquire(never).then(() => order.push('first'));
  const second = slots.acquire(never).then(() => order.push('second'));
  expect(slots.tryAcquire()).toBe(false);
  slots.release();
  await first;
  expect(order).toEqual(['first']);
  expect(slots.inUse).toBe(2);
  slots.release();
  await second;
  expect(order).toEqual(['first', 'second']);
});

test('a waiter that gives up neither gets nor blocks a slot', async () => {
  const slots = new Slots(1);
  await slots.acquire(never);
  const givingUp = new AbortController();
  const abandoned = slots.acquire(givingUp.signal);
  const patient = slots.acquire(never);
  givingUp.abort(new Error('gave up'));
  await expect(abandoned).rejects.toThrow('gave up');
  slots.release();
  await patient;
  slots.release();
  expect(slots.inUse).toBe(0);
  expect(slots.free).toBe(1);
});

test('an aborted signal never takes a slot', async () => {
  const slots = new Slots(1);
  await expect(slots.acquire(AbortSignal.abort(new Error('over')))).rejects.toThrow('over');
  expect(slots.inUse).toBe(0);
});
