import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdir, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { until } from '@xvault/shared/testing/until.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Version } from './layout.ts';
import type { RcloneRun } from './open-run.ts';
import { makeSyncRunner, type SyncRunner } from './sync.test-kit.ts';

const bigBytes = 24 * 1024 * 1024;
const program = fileURLToPath(new URL('crash-test-run.ts', import.meta.url));

describe.each([{ encrypted: false }, { encrypted: true }])(
  'a sync cut short, encrypted: $encrypted',
  ({ encrypted }) => {
    let runner: SyncRunner;
    beforeEach(async () => {
      runner = await makeSyncRunner(encrypted);
      await writeFile(join(runner.source, 'small.txt'), 'first');
      await writeFile(join(runner.source, 'big.bin'), Buffer.alloc(bigBytes, 'a'));
    });
    afterEach(() => runner.remove());

    /** A first version, and a change that takes a while to be brought over. */
    async function firstVersion(): Promise<{ version: Version; copy: string }> {
      const { version } = await runner.sync();
      const copy = join(runner.root, 'first');
      await cp(runner.source, copy, { recursive: true, preserveTimestamps: true });
      await writeFile(join(runner.source, 'big.bin'), Buffer.alloc(bigBytes + 1, 'b'));
      await writeFile(join(runner.source, 'new.bin'), Buffer.alloc(bigBytes, 'c'));
      await writeFile(join(runner.source, 'small.txt'), 'second');
      return { version, copy };
    }

    /** Slows the transfer down and acts when something of it is at the destination. */
    function whileWriting(act: (run: RcloneRun) => void) {
      let watching: Promise<void> = Promise.resolve();
      const onRun = (run: RcloneRun) => {
        watching = (async () => {
          await run.rclone.rc.call('core/bwlimit', { rate: '2M' });
          const folder = join(runner.place, encrypted ? '' : 'current');
          await until('a file that is being written', () => hasPart(folder));
          act(run);
        })();
      };
      return { onRun, done: () => watching };
    }

    async function expectNextRunHeals(first: { version: Version; copy: string }): Promise<void> {
      const { version, failed } = await runner.sync();
      expect(failed).toEqual([]);
      await expectSame(version, runner.source, 'now');
      await expectSame(first.version, first.copy, 'then');
      expect(await runner.validate(version, 'full')).toMatchObject({ differing: [] });
      expect(await runner.validate(first.version, 'full')).toMatchObject({ differing: [] });
    }

    async function expectSame(version: Version, folder: string, name: string): Promise<void> {
      const target = join(runner.root, name);
      await runner.restore(version, target);
      for (const file of await readdir(folder)) {
        expect(Buffer.compare(await readFile(join(target, file)), await readFile(join(folder, file))), file).toBe(0);
      }
      expect((await readdir(target)).sort()).toEqual((await readdir(folder)).sort());
    }

    it('rclone is killed', async () => {
      const first = await firstVersion();
      const cut = whileWriting((run) => process.kill(run.rclone.pid, 'SIGKILL'));
      await expect(runner.sync({}, { onRun: cut.onRun })).rejects.toMatchObject({ code: 'SYNC_FAILED' });
      await cut.done();
      await expectNextRunHeals(first);
    });

    it('the run is cancelled: nothing half written stays', async () => {
      const first = await firstVersion();
      const stop = new AbortController();
      const cut = whileWriting(() => stop.abort(new Error('cancelled')));
      await expect(runner.sync({}, { onRun: cut.onRun, signal: stop.signal })).rejects.toThrow('cancelled');
      await cut.done();
      if (!encrypted) {
        for (const [name, size] of Object.entries({ 'big.bin': bigBytes + 1, 'new.bin': bigBytes })) {
          const found = await stat(join(runner.place, 'current', name)).catch(() => null);
          expect(found === null || found.size === size || found.size === bigBytes, name).toBe(true);
        }
      }
      await expectNextRunHeals(first);
    });

    it('what an attempt left half written is in no version, even where the source cannot be read any more', async () => {
      const first = await firstVersion();
      const cut = whileWriting((run) => process.kill(run.rclone.pid, 'SIGKILL'));
      await expect(runner.sync({}, { onRun: cut.onRun })).rejects.toMatchObject({ code: 'SYNC_FAILED' });
      await cut.done();
      // In mode copy what the source has no more stays, but not what never was whole.
      await rm(join(runner.source, 'big.bin'));
      await rm(join(runner.source, 'new.bin'));
      const { version } = await runner.sync({ mode: 'copy' });
      const target = join(runner.root, 'copied');
      await runner.restore(version, target);
      const whole = new Set([bigBytes, bigBytes + 1, 'second'.length]);
      for (const file of await readdir(target)) expect(whole).toContain((await stat(join(target, file))).size);
      await expectSame(first.version, first.copy, 'then');
    });

    it('an attempt that did all but commit: the next run, which has nothing to do, commits what is there', async () => {
      const first = await firstVersion();
      const { version } = await runner.sync();
      const manifests = join(runner.place, 'manifests');
      if (encrypted) return expectNextRunHeals(first);
      for (const name of await readdir(manifests)) {
        if (name.startsWith(String(version.number).padStart(8, '0'))) await rm(join(manifests, name));
      }
      await expectNextRunHeals(first);
    });
  },
);

describe('the worker is gone', () => {
  let runner: SyncRunner;
  let child: ChildProcess | undefined;
  beforeEach(async () => {
    runner = await makeSyncRunner(false);
    await mkdir(runner.source, { recursive: true });
    await writeFile(join(runner.source, 'big.bin'), Buffer.alloc(bigBytes, 'a'));
  });
  afterEach(async () => {
    child?.kill('SIGKILL');
    await runner.remove();
  });

  it.each(['SIGKILL', 'SIGSTOP'] as const)('%s: its rclone ends, and so does the folder of the run', async (how) => {
    child = spawn(process.execPath, [program, runner.source, runner.place], { stdio: ['ignore', 'pipe', 'inherit'] });
    if (child.stdout === null) throw new Error('no output');
    const [line] = await once(createInterface({ input: child.stdout }), 'line');
    const { pid, directory } = JSON.parse(String(line)) as { pid: number; directory: string };
    await until('a file that is being written', () => hasPart(join(runner.place, 'current')));
    expect(isRunning(pid)).toBe(true);
    child.kill(how);
    await until('rclone’s end', () => !isRunning(pid), 45_000);
    await until('the end of the folder', async () => (await stat(directory).catch(() => null)) === null);
    child.kill('SIGKILL');
    const { version, failed } = await runner.sync();
    expect(failed).toEqual([]);
    await runner.restore(version, join(runner.root, 'back'));
    expect((await stat(join(runner.root, 'back', 'big.bin'))).size).toBe(bigBytes);
  });
});

describe('stored bytes that change by themselves', () => {
  it.each([{ encrypted: false }, { encrypted: true }])('are found, encrypted: $encrypted', async ({ encrypted }) => {
    const runner = await makeSyncRunner(encrypted);
    try {
      for (const [name, size] of [
        ['a.bin', 1000],
        ['b.bin', 300_000],
        ['c.bin', 2000],
      ] as const) {
        await writeFile(join(runner.source, name), Buffer.alloc(size, name));
      }
      await runner.sync();
      await writeFile(join(runner.source, 'a.bin'), 'another');
      const { version } = await runner.sync();
      expect(await runner.validate(version, 'full')).toMatchObject({ differing: [], objectsChecked: 3 });
      const victim = await largestFile(join(runner.place, encrypted ? '' : 'current'));
      const bytes = await readFile(victim);
      const before = await stat(victim);
      bytes[150_000] = (bytes[150_000] ?? 0) ^ 1;
      await writeFile(victim, bytes);
      await utimes(victim, before.atime, before.mtime);
      expect(await runner.validate(version, 'quick')).toMatchObject({ differing: [] });
      expect((await runner.validate(version, 'full')).differing).toHaveLength(1);
      await truncate(victim, 100_000);
      await expect(runner.validate(version, 'quick')).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
    } finally {
      await runner.remove();
    }
  });
});

async function filesBelow(folder: string): Promise<{ path: string; size: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const sized = files.map(async (path) => ({ path, size: (await stat(path).catch(() => null))?.size ?? 0 }));
  return Promise.all(sized);
}

/** A file of some length that is none of the whole ones. */
async function hasPart(folder: string): Promise<boolean> {
  return (await filesBelow(folder)).some(({ size }) => size > 100_000 && size < bigBytes);
}

async function largestFile(folder: string): Promise<string> {
  const [largest] = (await filesBelow(folder)).sort((a, b) => b.size - a.size);
  if (largest === undefined) throw new Error('no file');
  return largest.path;
}

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    // No such process.
    return false;
  }
}
