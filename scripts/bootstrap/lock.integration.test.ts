import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withLock } from './lock.mjs';

const run = promisify(execFile);
const module_ = JSON.stringify(new URL('./lock.mjs', import.meta.url).href);
let folder: string;
let lock: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'xvault-lock-'));
  lock = join(folder, 'state', 'lock');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Runs JavaScript in a process of its own; `lock` and `counter` are its files. */
function inProcess(body: string): readonly [string, string[]] {
  const files = `const lock = ${JSON.stringify(lock)}, counter = ${JSON.stringify(join(folder, 'counter'))};`;
  const imports = `import { withLock } from ${module_}; import { readFileSync, writeFileSync } from 'node:fs';`;
  return [process.execPath, ['--input-type=module', '-e', `${imports} ${files} ${body}`]];
}

test('processes that want it at once take turns', async () => {
  writeFileSync(join(folder, 'counter'), '0');
  const body = `await withLock(lock, async () => {
    const value = Number(readFileSync(counter, 'utf8'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    writeFileSync(counter, String(value + 1));
  });`;
  await Promise.all(Array.from({ length: 4 }, () => run(...inProcess(body))));
  expect(readFileSync(join(folder, 'counter'), 'utf8')).toBe('4');
  expect(existsSync(lock)).toBe(false);
});

test('the lock of a killed process is taken over', async () => {
  const body = `await withLock(lock, async () => { process.stdout.write('held'); setInterval(() => {}, 1000);
    await new Promise(() => {}); });`;
  const holder = spawn(...inProcess(body));
  await new Promise((resolve) => holder.stdout.once('data', resolve));
  expect(existsSync(lock)).toBe(true);
  await expect(withLock(lock, async () => 'never', { waitMs: 400 })).rejects.toThrow('for too long');
  const ended = new Promise((resolve) => holder.once('exit', resolve));
  holder.kill('SIGKILL');
  await ended;
  expect(await withLock(lock, async () => 'mine')).toBe('mine');
});

test('an unreadable holder counts as dead, and a failure of the work gives the lock back', async () => {
  await expect(
    withLock(lock, async () => {
      throw new Error('broken');
    }),
  ).rejects.toThrow('broken');
  writeFileSync(lock, '');
  expect(await withLock(lock, async () => 'mine')).toBe('mine');
});
