import type { Cluster } from '../cluster/cluster.ts';
import type { Random } from '../cluster/random.ts';
import type { DealtFault, FaultKind } from './fault.ts';
import { processFaults } from './faults/processes.ts';
import { serverFaults } from './faults/servers.ts';
import { surroundingFaults } from './faults/surroundings.ts';

const kinds: Readonly<Record<string, FaultKind>> = { ...processFaults, ...serverFaults, ...surroundingFaults };
export const faultKinds = Object.keys(kinds);

/** Draws `count` faults: every kind once before any comes again. */
export function dealFaults(cluster: Cluster, random: Random, count: number, signal: AbortSignal): DealtFault[] {
  const dealt: DealtFault[] = [];
  while (dealt.length < count) {
    for (const name of random.shuffle(faultKinds)) {
      const fault = kinds[name]?.({ cluster, random: random.fork(), signal });
      if (fault !== undefined && dealt.length < count) dealt.push({ kind: name, ...fault });
    }
  }
  return dealt;
}
