import { overwritePolicy } from '@xvault/shared/restore-targets.ts';
import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import type { TargetStat } from '../../connectors/target.ts';
import { changedSince, decideFate, sameTime } from './restore-policy.ts';
import { renamed, renameMark } from './restore-rename.ts';

const policies = fc.constantFrom(...overwritePolicy.options);
const types = fc.constantFrom('file' as const, 'directory' as const, 'symlink' as const, 'hardlink' as const);
const times = fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n });
const things: fc.Arbitrary<TargetStat> = fc.record({
  type: fc.constantFrom('file' as const, 'directory' as const, 'symlink' as const, 'other' as const),
  sizeBytes: fc.nat(),
  mtimeNs: fc.option(times),
});
const any = fc.tuple(policies, types, times, things);

function fate(policy: (typeof overwritePolicy.options)[number], type: 'file' | 'directory', there: TargetStat) {
  return decideFate(policy, { type, mtimeNs: 5_000_000_000n }, there).action;
}
const file = (mtimeNs: bigint | null): TargetStat => ({ type: 'file', sizeBytes: 1, mtimeNs });
const directory: TargetStat = { type: 'directory', sizeBytes: 0, mtimeNs: 1n };

describe('the overwrite policy', () => {
  it('decides by this table', () => {
    const [older, newer, unknown] = [file(1_000_000_000n), file(9_000_000_000n), file(null)];
    const row = (there: TargetStat, type: 'file' | 'directory' = 'file') =>
      overwritePolicy.options.map((policy) => fate(policy, type, there));
    //                                        never   if_newer     always       rename
    expect(overwritePolicy.options).toEqual(['never', 'if_newer', 'always', 'rename']);
    expect(row(older)).toEqual(['skip', 'overwrite', 'overwrite', 'rename']);
    expect(row(newer)).toEqual(['skip', 'skip', 'overwrite', 'rename']);
    expect(row(unknown)).toEqual(['skip', 'fail', 'overwrite', 'rename']);
    expect(row(directory)).toEqual(['skip', 'fail', 'fail', 'rename']);
    expect(row(older, 'directory')).toEqual(['fail', 'fail', 'fail', 'rename']);
    expect(row(directory, 'directory')).toEqual(['skip', 'skip', 'skip', 'skip']);
  });

  it('creates what is missing, whatever the policy', () => {
    fc.assert(
      fc.property(policies, types, times, (policy, type, mtimeNs) => {
        expect(decideFate(policy, { type, mtimeNs }, null)).toEqual({ action: 'create' });
      }),
    );
  });

  it('replaces nothing under never and rename, and never a directory or a device', () => {
    fc.assert(
      fc.property(any, ([policy, type, mtimeNs, there]) => {
        if (decideFate(policy, { type, mtimeNs }, there).action !== 'overwrite') return;
        expect(['if_newer', 'always']).toContain(policy);
        expect(['file', 'symlink']).toContain(there.type);
        expect(type).not.toBe('directory');
      }),
    );
  });

  it('under if_newer, restoring twice writes once, on targets that keep seconds, microseconds or nanoseconds', () => {
    fc.assert(
      fc.property(times, fc.constantFrom(1n, 1_000n, 1_000_000_000n), (mtimeNs, unit) => {
        const kept = mtimeNs - (mtimeNs % unit);
        expect(decideFate('if_newer', { type: 'file', mtimeNs }, file(kept)).action).toBe('skip');
        expect(sameTime(mtimeNs, kept)).toBe(true);
        const later = decideFate('if_newer', { type: 'file', mtimeNs: mtimeNs + 2_000_000_000n }, file(kept));
        expect(later.action).toBe('overwrite');
      }),
    );
  });
});

test('what was changed since a time is known as exactly as the target tells times', () => {
  const sinceNs = 1_700_000_000_700_000_000n;
  expect(changedSince(sinceNs, 1_700_000_000_000_000_000n)).toBe(true);
  expect(changedSince(sinceNs, 1_699_999_999_000_000_000n)).toBe(false);
  expect(changedSince(sinceNs, 1_700_000_000_600_000_000n)).toBe(false);
  expect(changedSince(sinceNs, sinceNs)).toBe(true);
});

describe('the name beside something else', () => {
  const mark = renameMark(Date.UTC(2026, 10, 21, 4, 10, 22), '0193a5d0-0000-7000-8000-00000000abcd');
  const name = (path: string) => renamed(Buffer.from(path), mark).toString();

  test('says when, keeps the ending, and tells runs apart', () => {
    expect(name('docs/report.txt')).toBe('docs/report (restored 2026-11-21 04.10.22 abcd).txt');
    expect(name('.bashrc')).toBe('.bashrc (restored 2026-11-21 04.10.22 abcd)');
    expect(name('dir.d/no ending')).toBe('dir.d/no ending (restored 2026-11-21 04.10.22 abcd)');
  });

  test('is a name in the same directory, of at most 255 bytes, without half a character', () => {
    const names = fc
      .uint8Array({ minLength: 1, maxLength: 255 })
      .map((bytes) => Buffer.from(bytes.map((b) => (b === 0x2f || b === 0 ? 0x2e : b))));
    fc.assert(
      fc.property(names, (bytes) => {
        const result = renamed(Buffer.concat([Buffer.from('a/'), bytes]), mark);
        expect(result.subarray(0, 2).toString()).toBe('a/');
        expect(result.indexOf('/', 2)).toBe(-1);
        expect(result.length - 2).toBeLessThanOrEqual(255);
        expect(result.subarray(2).equals(bytes)).toBe(false);
      }),
    );
    expect(name(`${'ä'.repeat(127)}x`)).not.toContain('�');
  });
});
