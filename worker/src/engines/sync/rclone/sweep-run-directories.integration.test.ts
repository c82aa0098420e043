import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chown, mkdir, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { descendants, signalProcess } from '@xvault/shared/testing/process-tree.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeRunDirectory, runDirectoryName } from './run-directory.ts';
import { lifeIn } from './sign-of-life.ts';
import { sweepRunDirectories } from './sweep-run-directories.ts';

const program = fileURLToPath(new URL('../crash-test-run.ts', import.meta.url));
const isThere = async (path: string) => (await stat(path).catch(() => null)) !== null;

let root: string;
let worker: ChildProcess | undefined;
let left: number[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'xvault-sweep-test-'));
  await mkdir(join(root, 'source'));
  await writeFile(join(root, 'source', 'big.bin'), Buffer.alloc(24 * 1024 * 1024));
});
afterEach(async () => {
  worker?.kill('SIGKILL');
  for (const pid of left.splice(0)) signalProcess(pid, 'SIGKILL');
  await rm(root, { recursive: true, force: true });
});

/** A worker in the middle of a slow transfer. */
async function startWorker() {
  const child = spawn(process.execPath, [program, join(root, 'source'), join(root, 'place')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  worker = child;
  if (child.stdout === null || child.pid === undefined) throw new Error('not started');
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { pid: rclone, directory } = JSON.parse(String(line)) as { pid: number; directory: string };
  const family = descendants(child.pid);
  left = [...family];
  return { child, rclone, directory, supervisors: family.filter((pid) => pid !== rclone) };
}

/** A zombie that nobody waits for does not run. */
async function isRunning(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return text !== '' && !/\) [ZX] /.test(text);
}

describe('directories of runs', () => {
  it('of a worker that was killed together with its rclone’s supervisors goes, and its rclone ends', async () => {
    const { child, rclone, directory, supervisors } = await startWorker();
    const living = await makeRunDirectory();
    expect(supervisors.length).toBeGreaterThanOrEqual(2);
    expect(await lifeIn(directory)).toBe('alive');
    await sweepRunDirectories();
    expect([await isThere(directory), await isRunning(rclone)]).toEqual([true, true]);

    // Stopped, it cannot end what is left when the others are killed, as if all had died in one moment.
    child.kill('SIGSTOP');
    expect(await lifeIn(directory)).toBe('alive');
    for (const pid of supervisors) signalProcess(pid, 'SIGKILL');
    for (const pid of supervisors) await until('the end of a supervisor', async () => !(await isRunning(pid)));
    await sweepRunDirectories();
    expect([await isThere(directory), await isRunning(rclone)]).toEqual([true, true]);
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
    await sweepRunDirectories();
    expect(await isThere(directory)).toBe(false);
    await until('the end of the orphan', async () => !(await isRunning(rclone)));
    expect(await isThere(living.path)).toBe(true);
    await living.remove();
    expect(await isThere(living.path)).toBe(false);
  });

  it('stay where it is not known whose they are, or where they are somebody else’s', async () => {
    const names = ['xvault-sync-aaaaaa', 'xvault-sync-bbbbbb', 'xvault-sync-cccccc', 'other-cccccc'];
    for (const name of names.slice(0, 3)) expect(runDirectoryName.test(name)).toBe(true);
    for (const name of names) await mkdir(join(root, name));
    const dead = join(root, 'dead');
    await mkdir(dead);
    await makeDeadSocket(join(dead, 'alive'));
    for (const name of names.slice(1)) await makeDeadSocket(join(root, name, 'alive'));
    await symlink(dead, join(root, 'xvault-sync-dddddd'));
    if (process.getuid?.() === 0) await chown(join(root, 'xvault-sync-cccccc'), 65_534, 65_534);
    const expected = process.getuid?.() === 0 ? 1 : 2;
    expect(await sweepRunDirectories([root, join(root, 'nowhere')])).toBe(expected);
    expect(await isThere(join(root, 'xvault-sync-aaaaaa'))).toBe(true);
    expect(await isThere(join(root, 'xvault-sync-bbbbbb'))).toBe(false);
    expect(await isThere(join(root, 'xvault-sync-cccccc'))).toBe(process.getuid?.() === 0);
    expect([await isThere(join(root, 'other-cccccc')), await isThere(dead)]).toEqual([true, true]);
  });
});

/** A socket of a process that was killed. */
async function makeDeadSocket(path: string): Promise<void> {
  const code = `require('node:net').createServer().listen(process.argv[1], () => process.kill(process.pid, 'SIGKILL'))`;
  await once(spawn(process.execPath, ['-e', code, path], { stdio: 'ignore' }), 'exit');
}
