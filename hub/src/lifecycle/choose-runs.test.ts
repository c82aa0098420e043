import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chooseRuns } from './choose-runs.ts';
import { Fleet, type FleetWorker } from './fleet.ts';
import type { Candidate, InFlight } from './queue-model.ts';
import { type Limits, Room } from './room.ts';

function worker(id: string, more: Partial<FleetWorker> = {}): FleetWorker {
  const capabilities = ['backup', 'restore', 'validation', 'probe'];
  return { id, pool: 'default', slots: 2, capabilities, disk_free_bytes: 100, load_1m: 0, status: 'active', ...more };
}

let made = 0;
function run(tenantId: string, more: Partial<Candidate> = {}): Candidate {
  made += 1;
  return {
    id: `${tenantId}-${made}`,
    epoch: 0,
    tenantId,
    kind: 'backup',
    slot: 'data',
    writesDisk: true,
    pool: 'default',
    requiredWorkerId: null,
    sourceHost: null,
    destinationId: null,
    syncJobId: null,
    tenantLimit: 100,
    weight: 100,
    vtime: 0,
    ...more,
  };
}

const wide: Limits = { globalMaxRuns: 100, poolMaxRuns: 100, sourceHostMaxRuns: 100, destinationMaxRuns: 100 };
const inFlight = (more: Partial<InFlight>): InFlight => ({
  tenantId: 'other',
  pool: 'default',
  workerId: null,
  sourceHost: null,
  destinationId: null,
  count: 1,
  ...more,
});
function room(workers: readonly FleetWorker[], used: readonly InFlight[] = [], limits: Partial<Limits> = {}): Room {
  return new Room(new Fleet(workers, 10), used, { ...wide, ...limits });
}
const place = (of: Candidate, at: Room) => at.place(of, of.tenantLimit);
const probe = { kind: 'probe', slot: 'control' } as const;

describe('where a run may go', () => {
  it('is the lane of the pool when all its workers can do it', () => {
    expect(place(run('a'), room([worker('w1'), worker('w2')]))).toEqual({ workerId: null });
  });

  it('is the least loaded worker that can do it when some cannot', () => {
    const blind = worker('w1', { capabilities: ['probe'] });
    const full = worker('w2', { disk_free_bytes: 5 });
    const draining = worker('w3', { status: 'draining' });
    const [busy, idle] = [worker('w4', { slots: 4 }), worker('w5', { slots: 4, load_1m: 3 })];
    const used = [inFlight({ workerId: 'w4', count: 3 })];
    for (const other of [blind, full, draining]) {
      expect(place(run('a'), room([other, busy, idle], used))).toEqual({ workerId: 'w5' });
    }
    const equal = [blind, worker('w4', { load_1m: 2 }), worker('w5', { load_1m: 1 })];
    expect(place(run('a'), room(equal))).toEqual({ workerId: 'w5' });
    expect(place(run('a', { kind: 'validation', writesDisk: false }), room([full, busy]))).toEqual({ workerId: null });
    expect(place(run('a', { writesDisk: false }), room([full, busy]))).toEqual({ workerId: null });
  });

  it('is nowhere for want of a worker, and says why', () => {
    const bound = run('a', { requiredWorkerId: 'w1' });
    const reason = (of: Candidate, workers: FleetWorker[], used: InFlight[] = []) => place(of, room(workers, used));
    expect(reason(run('a'), [])).toEqual({ reason: 'no worker of pool default is online' });
    expect(reason(bound, [worker('w2')])).toEqual({ reason: 'worker w1 is offline' });
    expect(reason(bound, [worker('w1', { status: 'draining' })])).toEqual({ reason: 'worker w1 is being drained' });
    expect(reason(bound, [worker('w1', { disk_free_bytes: 9 })])).toEqual({
      reason: 'worker w1 has too little free disk',
    });
    expect(reason(run('a'), [worker('w1', { capabilities: [] }), worker('w2', { status: 'draining' })])).toEqual({
      reason: 'no worker of pool default can do this: 1 cannot do this, 1 is being drained',
    });
    const atOne = [inFlight({ workerId: 'w1', count: 3 })];
    expect(reason(bound, [worker('w1')], atOne)).toEqual({ reason: 'worker w1: 3 of 3 places in use' });
    expect(reason(run('a'), [worker('w1')], atOne)).toEqual({ reason: 'pool default: 3 of 3 places in use' });
    const some = [worker('w1', { slots: 9, status: 'draining' }), worker('w2', { slots: 1 }), worker('w3')];
    expect(reason(run('a', { kind: 'restore' }), some, [inFlight({ workerId: 'w1', count: 9 })])).toEqual({
      workerId: 'w3',
    });
  });

  it('is nowhere while a limit is reached, in figures; connection tests pass limits', () => {
    const used = [inFlight({ tenantId: 'a', sourceHost: 'h:22', destinationId: 'd', count: 2 })];
    const at = (limits: Partial<Limits>) => room([worker('w1', { slots: 9 })], used, limits);
    const here = { sourceHost: 'h:22', destinationId: 'd' };
    expect(place(run('a', { tenantLimit: 2 }), at({}))).toEqual({ reason: 'tenant limit 2 of 2 in use' });
    const reason = (limits: Partial<Limits>) => place(run('b', here), at(limits));
    expect(reason({ sourceHostMaxRuns: 2 })).toEqual({ reason: 'source host limit 2 of 2 in use' });
    expect(reason({ destinationMaxRuns: 2 })).toEqual({ reason: 'destination limit 2 of 2 in use' });
    expect(reason({ poolMaxRuns: 2 })).toEqual({ reason: 'pool limit 2 of 2 in use' });
    expect(reason({ globalMaxRuns: 2 })).toEqual({ reason: 'platform limit 2 of 2 in use' });
    const full = room([worker('w1', { slots: 1 })], used, { globalMaxRuns: 1 });
    expect(place(run('a', { ...probe, tenantLimit: 1 }), full)).toEqual({ workerId: null });
  });
});

describe('chooseRuns', () => {
  it('moves the virtual time of tenants by their weight, and the clock to the latest start', () => {
    const runs = [run('a', { vtime: 7 }), run('b', { vtime: 7, weight: 400 }), run('a', { vtime: 7 })];
    const { vtimes, clock } = chooseRuns([...runs, run('c', probe)], room([worker('w1', { slots: 9 })]), 7);
    expect([...vtimes]).toEqual([
      ['a', 9],
      ['b', 7.25],
    ]);
    expect(clock).toBe(8);
  });

  it('never passes a limit, never holds back a run for nothing, never admits one twice', () => {
    const tenants = ['a', 'b', 'c'];
    const anyRun = fc.record({
      tenantId: fc.constantFrom(...tenants),
      requiredWorkerId: fc.constantFrom(null, null, 'w1', 'w2'),
      sourceHost: fc.constantFrom(null, 'h1', 'h2'),
      destinationId: fc.constantFrom(null, 'd1', 'd2'),
      kind: fc.constantFrom('backup' as const, 'restore' as const),
    });
    const anyWorker = fc.record({
      slots: fc.integer({ min: 1, max: 4 }),
      capabilities: fc.subarray(['backup', 'restore']),
      status: fc.constantFrom('active' as const, 'active' as const, 'draining' as const),
    });
    const limit = fc.integer({ min: 1, max: 9 });
    const limits = fc.record({
      globalMaxRuns: limit,
      poolMaxRuns: limit,
      sourceHostMaxRuns: limit,
      destinationMaxRuns: limit,
    });
    const property = fc.property(
      fc.array(anyRun, { maxLength: 30 }),
      fc.tuple(anyWorker, anyWorker, anyWorker),
      limits,
      limit,
      fc.array(fc.record({ tenantId: fc.constantFrom(...tenants), workerId: fc.constantFrom(null, 'w1', 'w3') }), {
        maxLength: 4,
      }),
      (wanted, workers, most, tenantLimit, used) => {
        const fleet = workers.map((more, index) => worker(`w${index + 1}`, more));
        const at = room(fleet, used.map(inFlight), most);
        const candidates = wanted.map((more) => run(more.tenantId, { ...more, tenantLimit }));
        const { admitted } = chooseRuns(candidates, at, 0);
        const chosen = new Set(admitted.map(({ run: { id } }) => id));
        expect(chosen.size).toBe(admitted.length);
        const count = (is: (run: Candidate) => boolean) => admitted.filter(({ run }) => is(run)).length;
        const before = (is: (row: (typeof used)[number]) => boolean) => used.filter(is).length;
        const within = (now: number, was: number, max: number) =>
          expect(now).toBeLessThanOrEqual(Math.max(0, max - was));
        within(admitted.length, used.length, Math.min(most.globalMaxRuns, most.poolMaxRuns));
        for (const id of tenants) {
          within(
            count((of) => of.tenantId === id),
            before((row) => row.tenantId === id),
            tenantLimit,
          );
        }
        for (const host of ['h1', 'h2'])
          within(
            count((of) => of.sourceHost === host),
            0,
            most.sourceHostMaxRuns,
          );
        for (const id of ['d1', 'd2'])
          within(
            count((of) => of.destinationId === id),
            0,
            most.destinationMaxRuns,
          );
        for (const { run: of, workerId } of admitted) {
          const able = fleet.filter(
            ({ status, capabilities }) => status === 'active' && capabilities.includes(of.kind),
          );
          if (of.requiredWorkerId !== null) expect(workerId).toBe(of.requiredWorkerId);
          expect(able.length).toBeGreaterThan(0);
          if (workerId === null) expect(able).toHaveLength(fleet.length);
          else expect(able.map(({ id }) => id)).toContain(workerId);
        }
        for (const of of candidates) if (!chosen.has(of.id)) expect(place(of, at)).toHaveProperty('reason');
      },
    );
    fc.assert(property);
  });
});
