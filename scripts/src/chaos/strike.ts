import { setTimeout as sleep } from 'node:timers/promises';
import type { Random } from '../cluster/random.ts';
import type { DealtFault } from './fault.ts';

/** Faults that may be under way at once. */
const mostAtOnce = 2;

/**
 * Strikes one fault after the other, with pauses of the seed's choice; a fault may begin before the one before it is
 * healed, unless they strike the same target. Resolves when all are healed.
 */
export async function strikeAll(
  faults: readonly DealtFault[],
  random: Random,
  say: (line: string) => void,
  signal: AbortSignal,
): Promise<void> {
  const underWay = new Map<string, Promise<void>>();
  const all: Promise<void>[] = [];
  for (const [index, fault] of faults.entries()) {
    await sleep(random.int(1000, 3500), undefined, { signal });
    await underWay.get(fault.target);
    while (underWay.size >= mostAtOnce) await Promise.race(underWay.values());
    say(`fault ${index + 1} of ${faults.length}: ${fault.description}`);
    const struck = fault.strike();
    all.push(struck);
    // A rejection is heard of at the end; until then the fault only counts as over.
    const over = struck.catch(() => undefined).then(() => void underWay.delete(fault.target));
    underWay.set(fault.target, over);
  }
  await Promise.all(all);
}
