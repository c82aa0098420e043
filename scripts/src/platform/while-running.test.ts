import { expect, test } from 'vitest';
import { whileRunning } from './while-running.ts';

const broken = () => Promise.reject(new TypeError('no answer'));

test('a connection that broke because its process ended is told as that end', async () => {
  const { promise: failed, reject } = Promise.withResolvers<never>();
  const outcome = whileRunning({ failed }, broken());
  setTimeout(() => reject(new Error('Hub ended')), 50);
  await expect(outcome).rejects.toThrow('Hub ended');
});

test('other failures are told at once, and results are given', async () => {
  const { promise: failed } = Promise.withResolvers<never>();
  await expect(whileRunning({ failed }, Promise.reject(new Error('wrong')))).rejects.toThrow('wrong');
  await expect(whileRunning({ failed }, broken())).rejects.toThrow('no answer');
  expect(await whileRunning({ failed }, Promise.resolve('done'))).toBe('done');
});
