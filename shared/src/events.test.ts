import { expect, test } from 'vitest';
import { nowMicros, type WorkerEvent, workerEvent } from './events.ts';

const event: WorkerEvent = {
  seq: 1,
  ts: '2026-02-28T23:59:59.000000Z',
  type: 'warning',
  level: 'warn',
  code: 'ITEM_VANISHED',
  message_id: 'item_vanished',
  params: { item: 'a' },
};
const isTaken = (change: Partial<WorkerEvent>) => workerEvent.safeParse({ ...event, ...change }).success;

test('the time of an event is one that there is, to the microsecond, in UTC', () => {
  for (const ts of [event.ts, '2024-02-29T00:00:00.123456Z', nowMicros()])
    expect([ts, isTaken({ ts })]).toEqual([ts, true]);
  for (const ts of [
    '2026-02-29T00:00:00.000000Z',
    '2026-13-01T00:00:00.000000Z',
    '2026-01-01T24:00:00.000000Z',
    '2026-01-01T00:60:00.000000Z',
    '0000-01-01T00:00:00.000000Z',
    '2026-01-01T00:00:00.000Z',
    '2026-01-01T00:00:00.000000+01:00',
    '2026-01-01 00:00:00.000000Z',
  ]) {
    expect([ts, isTaken({ ts })]).toEqual([ts, false]);
  }
});

test('a sequence is no larger than the database’s column', () => {
  expect([1, 2 ** 31 - 1].map((seq) => isTaken({ seq }))).toEqual([true, true]);
  expect([0, 1.5, 2 ** 31].map((seq) => isTaken({ seq }))).toEqual([false, false, false]);
});
