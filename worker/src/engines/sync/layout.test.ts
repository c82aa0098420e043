import { describe, expect, it } from 'vitest';
import {
  compareKept,
  compareVersions,
  formatVersion,
  type Kept,
  keptDirectory,
  manifestFile,
  parseKept,
  parseVersion,
  versionOfManifest,
} from './layout.ts';

describe('names of versions', () => {
  it('come back as what they were made of', () => {
    for (const version of [
      { number: 1, epoch: 1 },
      { number: 99_999_999, epoch: 12_345_678 },
    ]) {
      expect(parseVersion(formatVersion(version))).toEqual(version);
      expect(versionOfManifest(manifestFile(version))).toEqual(version);
      const kept: Kept = { version, tryNumber: 3 };
      expect(parseKept(keptDirectory(kept))).toEqual(kept);
    }
  });

  it('are nothing else’s', () => {
    const strange = ['', '1-1', '00000001', '00000001-', '00000001-1/x', 'x00000001-1', '00000001-123456789', '../1-1'];
    for (const name of strange) {
      expect(parseVersion(name), name).toBeUndefined();
      expect(versionOfManifest(`${name}.jsonl.gz`), name).toBeUndefined();
    }
    expect(versionOfManifest('00000001-1.jsonl')).toBeUndefined();
    expect(parseKept('00000001-1')).toBeUndefined();
  });

  it('sort by number, then by epoch, then by try: 10 after 9', () => {
    const kept = ['00000009-12-1', '00000010-2-1', '00000009-2-2', '00000009-2-10', '00000009-2-0'].map((name) => {
      const found = parseKept(name);
      if (found === undefined) throw new Error(name);
      return found;
    });
    const sorted = kept.toSorted(compareKept).map(keptDirectory);
    expect(sorted).toEqual(['00000009-2-0', '00000009-2-2', '00000009-2-10', '00000009-12-1', '00000010-2-1']);
    expect(compareVersions({ number: 1, epoch: 9 }, { number: 2, epoch: 1 })).toBeLessThan(0);
  });
});
