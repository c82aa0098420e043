import { execFileSync } from 'node:child_process';
import { chmodSync, linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startSshd } from '@xvault/shared/testing/sshd.ts';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { z } from 'zod';
import { runScript } from '../testing/run-script.ts';

let folder: string;
let tree: string;
let env: Record<string, string>;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xvault-demo-test-'));
  tree = join(folder, 'tree');
  const temporary = join(folder, 'tmp');
  mkdirSync(join(tree, 'empty', 'deeper'), { recursive: true });
  mkdirSync(temporary);
  env = { TMPDIR: temporary };
  writeFileSync(join(tree, 'a line\nbreak and \u{1f600}'), 'hello');
  writeFileSync(join(tree, 'empty file'), '');
  writeFileSync(join(tree, 'large'), Buffer.alloc(9_000_000, 'xVault '));
  writeFileSync(Buffer.concat([Buffer.from(`${tree}/not utf-8 `), Buffer.from([0xff, 0xc3])]), 'x');
  linkSync(join(tree, 'large'), join(tree, 'empty', 'second name'));
  symlinkSync('/does/not/exist', join(tree, 'dangling'));
  chmodSync(join(tree, 'empty file'), 0o4711);
  execFileSync('touch', ['-d', '1969-07-20T20:17:40.123456789Z', join(tree, 'large')]);
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const report = z.object({
  status: z.literal('success'),
  files: z.number(),
  bytes_in: z.number(),
  bytes_stored: z.number(),
  ratio: z.number(),
  seconds: z.number(),
  mb_per_s: z.number(),
  verified: z.literal(true),
  differences: z.literal(0),
  opened_by_standard_tools: z.literal(true),
  locator: z.object({ storage_backend: z.literal('local_fs'), worker_id: z.string(), local_path: z.string() }),
});

test('backs up, verifies, restores, compares, opens by the standard tools, and cleans up', async () => {
  const script = runScript('scripts/src/demo/main.ts', [tree, '--json'], env);
  expect(await script.ended, script.stderr()).toBe(0);
  const lines = script.stdout().trimEnd().split('\n');
  expect(lines).toHaveLength(1);
  const table = report.parse(JSON.parse(lines[0] ?? ''));
  expect(table.bytes_in).toBeGreaterThanOrEqual(9_000_006);
  expect(table.bytes_stored).toBeLessThan(100_000);
  expect(script.stderr()).toContain('age -d -i identity.txt backup.tar.zst.enc | zstd -dc | tar -xp');
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
}, 180_000);

test('says why it failed, with a failing exit code, and leaves nothing behind', async () => {
  const script = runScript('scripts/src/demo/main.ts', [join(folder, 'nowhere')], env);
  expect(await script.ended).toBe(1);
  expect(script.stderr()).toContain('there is no directory');
  const mistyped = runScript('scripts/src/demo/main.ts', ['--no-such-flag'], env);
  expect(await mistyped.ended).toBe(2);
  expect(mistyped.stderr()).toContain('npm run demo');
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
});

test('--stay keeps the platform up until it is asked to stop', async () => {
  const script = runScript('scripts/src/demo/main.ts', [tree, '--stay'], env);
  await script.until(/up again at (http:\S+)/);
  const url = /up again at (http:\S+)/.exec(script.stdout())?.[1];
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  script.signal('SIGINT');
  expect(await script.ended, script.stderr()).toBe(0);
  expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
}, 180_000);

test.each(['key', 'password'] as const)(
  'pulls over SFTP with a %s',
  async (way) => {
    const sshd = await startSshd(way === 'password' ? { login: 'password' } : {});
    try {
      mkdirSync(join(sshd.dataDir, 'sub'));
      writeFileSync(join(sshd.dataDir, 'sub', 'file'), 'over the wire');
      writeFileSync(join(sshd.dataDir, 'large'), Buffer.alloc(3_000_000, 'abc'));
      const keyFile = join(folder, 'key');
      writeFileSync(keyFile, sshd.privateKey, { mode: 0o600 });
      const target = `${sshd.user.name}@${sshd.host}:${sshd.port}:${sshd.dataDir}`;
      const key = way === 'key' ? ['--key', keyFile] : [];
      const secret: Record<string, string> = way === 'key' ? {} : { XVAULT_DEMO_PASSWORD: sshd.user.password };
      const script = runScript('scripts/src/demo/main.ts', ['--sftp', target, ...key, '--json'], { ...env, ...secret });
      expect(await script.ended, script.stderr()).toBe(0);
      expect(report.parse(JSON.parse(script.stdout()))).toMatchObject({ files: 2, bytes_in: 3_000_013 });
      expect(readdirSync(join(folder, 'tmp'))).toEqual([]);
    } finally {
      await sshd.stop();
    }
  },
  180_000,
);
