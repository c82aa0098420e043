import { expect, test } from 'vitest';
import { addCounts, countTests, summaryLine } from './vitest-report.ts';

function report(overrides: Record<string, unknown> = {}): string {
  const counts = { numPassedTests: 3, numFailedTests: 0, numPendingTests: 0, numTodoTests: 0 };
  return JSON.stringify({ ...counts, testResults: [], ...overrides });
}

test('counts what passed, failed and was skipped', () => {
  const json = report({ numFailedTests: 2, numPendingTests: 1, numTodoTests: 1 });
  expect(countTests(json, 1)).toEqual({ passed: 3, failed: 2, skipped: 2 });
});

test('a file that breaks outside its tests is a failure', () => {
  const json = report({ testResults: [{ status: 'failed', assertionResults: [] }] });
  expect(countTests(json, 1)).toEqual({ passed: 3, failed: 1, skipped: 0 });
});

test('a file whose own test failed is not counted twice', () => {
  const testResults = [{ status: 'failed', assertionResults: [{ status: 'failed' }] }];
  expect(countTests(report({ numFailedTests: 1, testResults }), 1).failed).toBe(1);
});

test('an exit code that nothing explains is a failure, and so is a missing report', () => {
  expect(countTests(report(), 1).failed).toBe(1);
  expect(countTests(undefined, 0).failed).toBe(1);
});

test('the closing line names skipped tests only when there are some', () => {
  expect(summaryLine({ passed: 4, failed: 0, skipped: 0 }, false)).toEqual({ line: '4 passed, 0 failed', ok: true });
  expect(summaryLine({ passed: 4, failed: 1, skipped: 0 }, false)).toEqual({ line: '4 passed, 1 failed', ok: false });
  expect(summaryLine({ passed: 4, failed: 0, skipped: 2 }, false).ok).toBe(true);
});

test('in CI a skipped test is a failure', () => {
  const counts = addCounts({ passed: 4, failed: 0, skipped: 2 }, { passed: 1, failed: 0, skipped: 0 });
  expect(summaryLine(counts, true)).toEqual({ line: '5 passed, 2 failed, 2 skipped', ok: false });
});
