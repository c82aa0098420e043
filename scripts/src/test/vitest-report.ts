import { z } from 'zod';

/** The part of Vitest's JSON report that we count. */
const report = z.object({
  numPassedTests: z.int(),
  numFailedTests: z.int(),
  numPendingTests: z.int(),
  numTodoTests: z.int(),
  testResults: z.array(z.object({ status: z.string(), assertionResults: z.array(z.object({ status: z.string() })) })),
});

export interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/**
 * Counts tests from Vitest's report. A file that broke outside its tests counts as one failure, and so does an exit
 * code that no counted failure explains (an unhandled rejection, a missing report: `json` undefined).
 */
export function countTests(json: string | undefined, exitCode: number): Counts {
  if (json === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const parsed = report.parse(JSON.parse(json));
  const broken = parsed.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.every((test) => test.status !== 'failed'),
  ).length;
  const failed = parsed.numFailedTests + broken;
  return {
    passed: parsed.numPassedTests,
    failed: failed === 0 && exitCode !== 0 ? 1 : failed,
    skipped: parsed.numPendingTests + parsed.numTodoTests,
  };
}

export function addCounts(a: Counts, b: Counts): Counts {
  return { passed: a.passed + b.passed, failed: a.failed + b.failed, skipped: a.skipped + b.skipped };
}

/** The closing line of `npm test`; in CI a skipped test is a failed one. */
export function summaryLine(counts: Counts, ci: boolean): { line: string; ok: boolean } {
  const failed = counts.failed + (ci ? counts.skipped : 0);
  const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : '';
  return { line: `${counts.passed} passed, ${failed} failed${skipped}`, ok: failed === 0 };
}
