import type { Cluster } from '../cluster/cluster.ts';
import type { Random } from '../cluster/random.ts';

export interface FaultContext {
  readonly cluster: Cluster;
  /** The fault's own draws. */
  readonly random: Random;
  readonly signal: AbortSignal;
}

/** A fault with all its draws made. */
export interface DealtFault {
  readonly kind: string;
  /** What it strikes; one fault at a time on each. */
  readonly target: string;
  /** Shown before the strike. */
  readonly description: string;
  /** Strikes and, in the end, heals what it has struck. */
  strike(): Promise<void>;
}

/** Draws a fault of one kind; undefined where this machine does not allow it. */
export type FaultKind = (context: FaultContext) => Omit<DealtFault, 'kind'> | undefined;
