import { randomBytes } from 'node:crypto';
import { chmod, mkdir, open, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { until } from '@xvault/shared/testing/until.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAddressGuard } from '../../net/guard.ts';
import { atDestination } from './faults.ts';
import { statsAnswer } from './job.ts';
import { openRcloneRun, type RcloneRun } from './open-run.ts';
import { powerlessRclone } from './powerless-rclone.test-kit.ts';
import { makeRunDirectory } from './rclone/run-directory.ts';
import { readObject } from './read-object.ts';
import type { VersionStore } from './resolve.ts';
import { localSide, makeSyncRunner, type SyncRunner, testCrypt } from './sync.test-kit.ts';
import { validateVersion } from './validate.ts';

const mib = 1024 * 1024;
const never = new AbortController().signal;

describe.each([{ encrypted: false }, { encrypted: true }])('reading back, encrypted: $encrypted', ({ encrypted }) => {
  let runner: SyncRunner;
  beforeEach(async () => {
    runner = await makeSyncRunner(encrypted);
  });
  afterEach(() => runner.remove());

  /** Opens what the runner has stored. */
  async function opened<T>(work: (run: RcloneRun, store: VersionStore) => Promise<T>, flags: string[] = []) {
    const directory = await makeRunDirectory();
    try {
      const run = await openRcloneRun({
        binary: await powerlessRclone(runner.root),
        directory,
        guard: createAddressGuard({ allow: [] }),
        destination: localSide(runner.place),
        crypt: encrypted ? testCrypt : null,
        flags,
        onLine: () => undefined,
        signal: never,
      });
      try {
        return await work(run, { rc: run.rclone.rc, dstFs: run.dstFs, directory: directory.path, signal: never });
      } finally {
        await run.close();
      }
    } finally {
      await directory.remove();
    }
  }

  async function collect(store: VersionStore, path: string): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for await (const chunk of readObject(store, 'current', path)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  /** As it is stored. */
  async function storedFile(suffix: number): Promise<string> {
    const all = await readdir(runner.place, { recursive: true, withFileTypes: true });
    for (const entry of all) {
      const path = join(entry.parentPath, entry.name);
      if (!entry.isFile()) continue;
      const file = await open(path);
      const { size } = await file.stat();
      await file.close();
      if (Math.abs(size - suffix) < suffix / 10) return path;
    }
    throw new Error('the object is not there');
  }

  it('an rclone that is killed meanwhile says nothing of the version', async () => {
    for (let at = 0; at < 6; at += 1) await writeFile(join(runner.source, `f${at}`), randomBytes(mib));
    const { version } = await runner.sync();
    await opened(async (run, store) => {
      const { rc } = run.rclone;
      await rc.call('core/bwlimit', { rate: '1M' });
      const judging = validateVersion(store, version, 'full', () => undefined);
      const killing = until('bytes', async () => statsAnswer.parse(await rc.call('core/stats', {})).bytes > mib).then(
        () => process.kill(run.rclone.pid, 'SIGKILL'),
      );
      await expect(judging).rejects.toMatchObject({ code: 'SYNC_FAILED', retryable: true });
      await killing;
    });
    expect(await runner.validate(version, 'full')).toMatchObject({ objectsChecked: 6, differing: [] });
  });

  it('what breaks off goes on where it broke', async () => {
    const content = randomBytes(6 * mib);
    await writeFile(join(runner.source, 'big'), content);
    const { version } = await runner.sync();
    await opened(
      async (run, store) => {
        await run.rclone.rc.call('core/bwlimit', { rate: '1500k' });
        expect(await validateVersion(store, version, 'full', () => undefined)).toMatchObject({ differing: [] });
        expect(Buffer.compare(await collect(store, 'big'), content)).toBe(0);
      },
      ['--rc-server-write-timeout=2s'],
    );
  });

  it('a changed byte and a missing object are found', async () => {
    for (const name of ['good', 'bad'])
      await writeFile(join(runner.source, name), randomBytes(name === 'bad' ? 3 * mib : 9));
    const { version } = await runner.sync();
    const file = await open(await storedFile(3 * mib), 'r+');
    await file.write(Buffer.from('changed'), 0, 7, 2 * mib);
    await file.close();
    expect(await runner.validate(version, 'full')).toMatchObject({ objectsChecked: 2, differing: ['bad'] });
    await opened(async (_, store) => {
      const broken = { code: 'SYNC_VERSION_BROKEN' };
      if (encrypted) await expect(collect(store, 'bad')).rejects.toMatchObject(broken);
      await expect(collect(store, 'none')).rejects.toMatchObject(broken);
      await expect(collect(store, 'none/at/all')).rejects.toMatchObject(broken);
    });
  });

  it('a damaged beginning is found', async () => {
    await writeFile(join(runner.source, 'bad'), randomBytes(mib));
    const { version } = await runner.sync();
    const file = await open(await storedFile(mib), 'r+');
    await file.write(Buffer.from('changed'), 0, 7, 0);
    await file.close();
    expect(await runner.validate(version, 'full')).toMatchObject({ differing: ['bad'] });
  });

  it('what may not be read is not broken', async () => {
    await mkdir(join(runner.source, 'sub'));
    await writeFile(join(runner.source, 'sub', 'closed'), randomBytes(mib));
    const { version } = await runner.sync();
    const denied = { code: 'STORAGE_PERMISSION' };
    await opened(async (_, store) => {
      const file = await storedFile(mib);
      await chmod(file, 0);
      await expect(collect(store, 'sub/closed')).rejects.toMatchObject(denied);
      await expect(validateVersion(store, version, 'full', () => undefined)).rejects.toMatchObject(denied);
      await chmod(file, 0o600);
      await chmod(dirname(file), 0);
      for (const level of ['quick', 'full'] as const) {
        const judging = atDestination(
          '',
          validateVersion(store, version, level, () => undefined),
        );
        await expect(judging).rejects.toMatchObject(denied);
      }
      await chmod(dirname(file), 0o700);
      expect(await validateVersion(store, version, 'full', () => undefined)).toMatchObject({ differing: [] });
    });
  });

  it('a destination that is gone is not broken', async () => {
    await writeFile(join(runner.source, 'a'), 'a');
    await runner.sync();
    await opened(async (_, store) => {
      await rm(runner.place, { recursive: true });
      await expect(collect(store, 'a')).rejects.toMatchObject({ code: 'STORAGE_FAILED', retryable: true });
    });
  });
});
