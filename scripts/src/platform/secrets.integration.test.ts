import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seal, unseal } from '@xvault/shared/sealing.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openSecrets } from './secrets.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xvault-secrets-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

test('made once, kept, readable by the owner alone, and the pairs fit', async () => {
  const first = await openSecrets(folder);
  const second = await openSecrets(folder);
  for (const pair of ['credentials', 'vault'] as const) {
    const sealed = await seal('hello', await first.read(`${pair}.recipient`));
    expect(await unseal(sealed, [await second.read(`${pair}.identity`)])).toBe('hello');
  }
  expect(await second.read('operator-password')).toBe(await first.read('operator-password'));
  for (const name of readdirSync(join(folder, 'secrets'))) {
    expect(statSync(join(folder, 'secrets', name)).mode & 0o777).toBe(0o600);
  }
});

test('a half-made set of an earlier start is not taken for one', async () => {
  mkdirSync(join(folder, 'secrets.new'));
  writeFileSync(join(folder, 'secrets.new', 'vault.identity'), 'half');
  const secrets = await openSecrets(folder);
  expect(await secrets.read('vault.identity')).toMatch(/^AGE-SECRET-KEY-1/);
  expect(readdirSync(folder)).toEqual(['secrets']);
});

test('what is sealed opens by the age command too, as docs/artifact-format.md says', async () => {
  const secrets = await openSecrets(folder);
  const sealed = await seal('AGE-SECRET-KEY-1EXAMPLE', await secrets.read('vault.recipient'));
  const input = Buffer.from(sealed, 'base64');
  const opened = execFileSync('age', ['-d', '-i', secrets.file('vault.identity')], { input, encoding: 'utf8' });
  expect(opened).toBe('AGE-SECRET-KEY-1EXAMPLE');
});
