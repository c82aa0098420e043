import { setTimeout as sleep } from 'node:timers/promises';
import { leaseMs } from '../../cluster/cluster-settings.ts';
import type { Part } from '../../cluster/part.ts';
import type { Random } from '../../cluster/random.ts';
import type { FaultContext, FaultKind } from '../fault.ts';
import { untilWriting } from '../until-writing.ts';

/** A process is killed; the cluster starts it again after a while. */
function killed(choose: (context: FaultContext) => Part, name: 'SIGKILL' | 'SIGTERM'): FaultKind {
  return (context) => {
    const part = choose(context);
    return {
      target: part.name,
      description: `${name} of ${part.name}`,
      strike: async () => void part.signal(name),
    };
  };
}

/** Half of the times a worker is killed while it writes, else at any moment. */
const workerKilled: FaultKind = ({ cluster, random, signal }) => {
  const worker = random.pick(cluster.workers);
  const whileWriting = random.next() < 0.5;
  return {
    target: worker.id,
    description: `SIGKILL of ${worker.id}${whileWriting ? ' while it writes' : ''}`,
    async strike() {
      if (whileWriting) await untilWriting(worker, signal);
      worker.part.signal('SIGKILL');
    },
  };
};

/** A process is stopped for a part of a lease, or for more than one, and then goes on as if nothing had been. */
function stopped(choose: (context: FaultContext) => Part, leases: { from: number; to: number }): FaultKind {
  return (context) => {
    const part = choose(context);
    const forMs = Math.round(leaseMs * (leases.from + context.random.next() * (leases.to - leases.from)));
    return {
      target: part.name,
      description: `SIGSTOP of ${part.name} for ${forMs} ms`,
      strike: () => stopFor(part, forMs, context.signal),
    };
  };
}

async function stopFor(part: Part, forMs: number, signal: AbortSignal): Promise<void> {
  part.signal('SIGSTOP');
  await sleep(forMs, undefined, { signal }).catch(() => undefined);
  part.signal('SIGCONT');
}

/** A worker whose clock seems to jump: stopped again and again, so that its deadlines and the Hub's pass in either order. */
const dozing: FaultKind = (context) => {
  const part = anyWorker(context);
  const naps = Array.from({ length: context.random.int(2, 4) }, () => napMs(context.random));
  return {
    target: part.name,
    description: `${part.name} dozes for ${naps.join(', ')} ms`,
    async strike() {
      for (const nap of naps) {
        await stopFor(part, nap, context.signal);
        await sleep(nap / 5, undefined, { signal: context.signal }).catch(() => undefined);
      }
    },
  };
};

function napMs(random: Random): number {
  return Math.round(leaseMs * (0.3 + random.next() * 0.5));
}

/** A Hub that grants leases of another length than the rest, so that workers and Hubs count differently. */
const leaseStretched: FaultKind = ({ cluster, random, signal }) => {
  const hub = random.pick(cluster.hubs);
  const otherMs = Math.round(leaseMs * random.pick([0.5, 0.7, 1.5, 2]));
  const forMs = random.int(4000, 8000);
  return {
    target: hub.name,
    description: `${hub.name} grants leases of ${otherMs} ms for ${forMs} ms`,
    async strike() {
      hub.overrides = { XVAULT_LEASE_MS: String(otherMs) };
      hub.signal('SIGTERM');
      await sleep(forMs, undefined, { signal }).catch(() => undefined);
      hub.overrides = {};
      hub.signal('SIGTERM');
    },
  };
};

const anyWorker = ({ cluster, random }: FaultContext) => random.pick(cluster.workers).part;
const anyHub = ({ cluster, random }: FaultContext) => random.pick(cluster.hubs);

export const processFaults: Readonly<Record<string, FaultKind>> = {
  'worker-killed': workerKilled,
  'worker-terminated': killed(anyWorker, 'SIGTERM'),
  'worker-stopped': stopped(anyWorker, { from: 1.2, to: 1.8 }),
  'worker-dozing': dozing,
  'hub-killed': killed(anyHub, 'SIGKILL'),
  'hub-stopped': stopped(anyHub, { from: 0.4, to: 1.6 }),
  'lease-stretched': leaseStretched,
};
