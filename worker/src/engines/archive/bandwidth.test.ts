import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { Throttle, throttled } from './bandwidth.ts';

const never = new AbortController().signal;

/** Bytes that pass while a test does something else. */
function taking(throttle: Throttle, pieceBytes: number, signal: AbortSignal) {
  let bytes = 0;
  const ended = (async () => {
    for (;;) {
      await throttle.take(pieceBytes, signal);
      bytes += pieceBytes;
    }
  })();
  return { bytes: () => bytes, ended };
}

test('without a limit nothing waits', async () => {
  const throttle = new Throttle(() => null);
  for (let at = 0; at < 1000; at += 1) await throttle.take(1e12, never);
});

test('no more passes than the limit allows for the time that went by', async () => {
  const throttle = new Throttle(() => 100_000);
  const stop = new AbortController();
  const startedAt = performance.now();
  const running = taking(throttle, 5_000, stop.signal);
  await sleep(600);
  const bytes = running.bytes();
  const seconds = (performance.now() - startedAt) / 1000;
  stop.abort(new Error('enough'));
  await expect(running.ended).rejects.toThrow('enough');
  expect(bytes).toBeGreaterThan(0);
  // A second's worth at most may have been saved up.
  expect(bytes).toBeLessThanOrEqual((seconds + 1) * 100_000);
});

test('several share one limit', async () => {
  const throttle = new Throttle(() => 50_000);
  const stop = new AbortController();
  const startedAt = performance.now();
  const all = [1, 2, 3, 4].map(() => taking(throttle, 2_000, stop.signal));
  await sleep(500);
  const bytes = all.reduce((sum, one) => sum + one.bytes(), 0);
  const seconds = (performance.now() - startedAt) / 1000;
  stop.abort(new Error('enough'));
  await Promise.allSettled(all.map((one) => one.ended));
  expect(bytes).toBeLessThanOrEqual((seconds + 1) * 50_000);
});

test('a piece of any size passes, and a change of the limit is felt by who waits', async () => {
  let limit: number | null = 1;
  const throttle = new Throttle(() => limit);
  let passed = false;
  const waiting = throttle.take(1_000_000_000, never).then(() => {
    passed = true;
  });
  await sleep(50);
  expect(passed).toBe(false);
  limit = 1e15;
  throttle.changed();
  await waiting;
  limit = 1;
  const forever = throttle.take(1e12, never);
  limit = null;
  throttle.changed();
  await forever;
});

test('an abort ends the waiting with its reason', async () => {
  const throttle = new Throttle(() => 1);
  const stop = new AbortController();
  const waiting = throttle.take(1e9, stop.signal);
  const reason = new Error('cancelled by the test');
  stop.abort(reason);
  await expect(waiting).rejects.toBe(reason);
});

test('chunks come through unchanged', async () => {
  const chunks = async function* () {
    yield Buffer.from('a');
    yield Buffer.from('bc');
  };
  const got: string[] = [];
  for await (const chunk of throttled(chunks(), new Throttle(() => 1_000_000), never)) got.push(chunk.toString());
  expect(got).toEqual(['a', 'bc']);
});
