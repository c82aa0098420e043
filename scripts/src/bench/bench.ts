export interface BenchResult {
  readonly bench: string;
  /** Name → our speed ÷ theirs; bigger is better. */
  readonly ratios: Readonly<Record<string, number>>;
  readonly figures: Readonly<Record<string, number>>;
}

export interface BenchContext {
  /** Scratch space that is removed afterwards. */
  readonly workDir: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
  /** How much data, where the caller says so; for benches whose size can be chosen. */
  readonly gib?: number;
}

export type Bench = (context: BenchContext) => Promise<BenchResult>;
