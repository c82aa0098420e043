import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import { commands } from './commands.mjs';
import { usableHome } from './home.mjs';
import { advice } from './install-programs.mjs';
import { stateDir } from './paths.mjs';
import { find, missingPrograms, programs } from './programs.mjs';
import { isRecent } from './tools.mjs';

afterEach(() => {
  vi.unstubAllEnvs();
});

test('a home that can be written to is kept, any other is replaced by one of ours', () => {
  const home = mkdtempSync(join(tmpdir(), 'xvault-home-'));
  expect(usableHome(home)).toBe(home);
  rmSync(home, { recursive: true });
  for (const useless of [home, '', 'relative', undefined]) {
    vi.stubEnv('HOME', useless);
    expect(usableHome()).toBe(join(stateDir, 'home'));
  }
});

test('a Node with argon2 and type stripping is used as it is', () => {
  expect(['24.7.0', '24.21.0', '26.0.0'].map(isRecent)).toEqual([true, true, true]);
  expect(['18.20.0', '22.30.1', '24.6.9'].map(isRecent)).toEqual([false, false, false]);
});

test('every command names programs and wishes that the table knows', () => {
  for (const { programs: required, wanted } of Object.values(commands)) {
    for (const key of [...required, ...wanted]) expect(() => find(key)).not.toThrow();
  }
});

test('sees what is missing, and says how to get it with each package manager', () => {
  expect(missingPrograms(['tar'])).toEqual([]);
  programs['not-there'] = { names: ['no-such-program'], apt: 'package-a', brew: 'package-b', dnf: 'package-d' };
  expect(missingPrograms(['tar', 'not-there'])).toEqual(['not-there']);
  const text = advice(['not-there']);
  expect(text).toMatch(/no-such-program/);
  expect(text).toMatch(/apt-get install .* package-a$/m);
  expect(text).toMatch(/brew install package-b$/m);
  expect(text).toMatch(/dnf install -y package-d$/m);
});
