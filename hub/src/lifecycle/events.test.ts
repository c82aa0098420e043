import { describe, expect, it } from 'vitest';
import { itemEvent } from '../testing/scripted-worker.ts';
import { type EventState, planWorkerEvents } from './events.ts';

const state = (more: Partial<EventState> = {}): EventState => ({
  runId: 'run',
  count: 2,
  workerSeq: 0,
  capped: false,
  ...more,
});
const batch = (from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, index) => itemEvent(from + index));
const idsOf = ({ rows }: ReturnType<typeof planWorkerEvents>) => rows.map((row) => row.id);

describe('planWorkerEvents', () => {
  it('numbers new events on from the last of the run', () => {
    const plan = planWorkerEvents(state(), batch(1, 3), 100);
    expect(idsOf(plan)).toEqual([3, 4, 5]);
    expect(plan).toMatchObject({ count: 5, workerSeq: 3 });
  });

  it('stores what was sent before only once, in whatever order it comes', () => {
    const plan = planWorkerEvents(state({ workerSeq: 2 }), [...batch(1, 4).reverse(), itemEvent(4)], 100);
    expect(plan.rows.map((row) => row.params)).toEqual([{ item: 'file-3' }, { item: 'file-4' }]);
    expect(plan.workerSeq).toBe(4);
    expect(planWorkerEvents(state({ workerSeq: 4 }), batch(1, 4), 100)).toMatchObject({ rows: [], workerSeq: 4 });
  });

  it('ends the list once at the cap and takes the rest as stored', () => {
    const plan = planWorkerEvents(state(), batch(1, 20), 10);
    expect(idsOf(plan)).toEqual([3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(plan.rows.at(-1)?.message_id).toBe('events_capped');
    expect(plan.workerSeq).toBe(20);
    const after = planWorkerEvents(state({ count: 11, workerSeq: 20, capped: true }), batch(21, 30), 10);
    expect(after).toMatchObject({ rows: [], count: 11, workerSeq: 30 });
  });

  it('ends it also where the Hub itself has gone past the cap', () => {
    const plan = planWorkerEvents(state({ count: 12 }), batch(1, 2), 10);
    expect(plan.rows).toMatchObject([{ id: 13, message_id: 'events_capped' }]);
  });

  it('takes exactly as many as fit without a cap being said', () => {
    const plan = planWorkerEvents(state(), batch(1, 8), 10);
    expect(idsOf(plan)).toHaveLength(8);
    expect(plan.rows.every((row) => row.message_id === 'item_vanished')).toBe(true);
  });
});
