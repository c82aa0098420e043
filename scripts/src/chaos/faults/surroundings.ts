import { setTimeout as sleep } from 'node:timers/promises';
import { leaseMs } from '../../cluster/cluster-settings.ts';
import type { FaultKind } from '../fault.ts';
import { untilWriting } from '../until-writing.ts';

/** Nothing passes between a worker and the Hubs; what was on its way arrives late, or never. */
const networkStalled: FaultKind = ({ cluster, random, signal }) => {
  const worker = random.pick(cluster.workers);
  const forMs = Math.round(leaseMs * (0.2 + random.next() * 1.4));
  const arrivesLate = random.next() < 0.5;
  return {
    target: `network of ${worker.id}`,
    description: `network of ${worker.id} silent for ${forMs} ms${arrivesLate ? ', what was sent arrives late' : ''}`,
    async strike() {
      worker.link.stall();
      await sleep(forMs, undefined, { signal }).catch(() => undefined);
      if (!arrivesLate) worker.link.cut();
      worker.link.resume();
    },
  };
};

/** Connections between a worker and the Hubs break, again and again for a while. */
const networkCut: FaultKind = ({ cluster, random, signal }) => {
  const worker = random.pick(cluster.workers);
  const cuts = random.int(1, 12);
  return {
    target: `network of ${worker.id}`,
    description: `connections of ${worker.id} cut ${cuts} times`,
    async strike() {
      for (let cut = 0; cut < cuts && !signal.aborted; cut += 1) {
        worker.link.cut();
        await sleep(300, undefined, { signal }).catch(() => undefined);
      }
    },
  };
};

const longestWaitMs = 6_000;

/** Waits until somebody reads, and ends all sessions in the middle of it. */
const sshdSessionsKilled: FaultKind = ({ cluster, random, signal }) => {
  const afterMs = random.int(20, 400);
  return {
    target: 'sshd',
    description: `SSH sessions killed ${afterMs} ms after one is there`,
    async strike() {
      const deadline = performance.now() + longestWaitMs;
      while (cluster.sshd.sessionCount() === 0 && performance.now() < deadline && !signal.aborted) await sleep(100);
      await sleep(afterMs);
      cluster.sshd.signalSessions('SIGKILL');
    },
  };
};

const destinationFull: FaultKind = ({ cluster, random, signal }) => {
  const worker = cluster.workers.find((each) => each.volume !== undefined);
  const volume = worker?.volume;
  if (worker === undefined || volume === undefined) return undefined;
  const forMs = random.int(2000, 6000);
  return {
    target: 'disk',
    description: `destination full for ${forMs} ms`,
    async strike() {
      await untilWriting(worker, signal);
      await volume.fill();
      await sleep(forMs, undefined, { signal }).catch(() => undefined);
      await volume.free();
    },
  };
};

export const surroundingFaults: Readonly<Record<string, FaultKind>> = {
  'network-stalled': networkStalled,
  'network-cut': networkCut,
  'sshd-sessions-killed': sshdSessionsKilled,
  'destination-full': destinationFull,
};
