import type { Findings } from './checks/finding.ts';

/** What must not be there, by name; each list is empty when all holds. */
export type Problems = Readonly<Record<ProblemName, Findings>>;
export const problemNames = [
  'nonTerminal',
  'duplicateCommits',
  'unrestorable',
  'orphans',
  'overLimit',
  'leakedProcesses',
  'lostRuns',
  'slotsHeld',
  'crashes',
] as const;
export type ProblemName = (typeof problemNames)[number];

export interface ChaosReport {
  readonly seed: number;
  readonly faults: Readonly<Record<string, number>>;
  /** Kinds of faults that could not be had here. */
  readonly missingFaults: readonly string[];
  readonly runs: Readonly<Record<string, number>>;
  readonly attempts: Readonly<Record<string, number>>;
  readonly snapshotsRestored: number;
  readonly seconds: number;
  /** Answers with status 500. */
  readonly internalErrors: readonly string[];
  readonly problems: Problems;
}

export function holds(report: ChaosReport): boolean {
  return problemNames.every((name) => report.problems[name].length === 0);
}

/** The one line for machines. */
export function jsonLine(report: ChaosReport): string {
  const counts = Object.fromEntries(problemNames.map((name) => [name, report.problems[name].length]));
  return JSON.stringify({
    faults: total(report.faults),
    runs: total(report.runs),
    ...counts,
    seed: report.seed,
    seconds: report.seconds,
    snapshotsRestored: report.snapshotsRestored,
    internalErrors: report.internalErrors.length,
    faultCounts: report.faults,
    missingFaults: report.missingFaults,
    runEnds: report.runs,
    attemptEnds: report.attempts,
  });
}

/** For people: each thing that was looked at, and the first of what was found. */
export function lines(report: ChaosReport): string[] {
  const shown = 20;
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  return [
    `seed ${report.seed}, ${report.seconds} s; faults: ${list(report.faults)}`,
    `runs: ${list(report.runs)}`,
    `attempts: ${list(report.attempts)}`,
    `${report.snapshotsRestored} snapshots restored and compared`,
    ...report.internalErrors.slice(0, shown).map((line) => `answered with 500: ${line}`),
    ...problemNames.flatMap((name) => {
      const found = report.problems[name];
      return [
        `${found.length === 0 ? '✓' : '✗'} ${name}: ${found.length}`,
        ...found.slice(0, shown).map((line) => `    ${line}`),
      ];
    }),
  ];
}

function total(counts: Readonly<Record<string, number>>): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
