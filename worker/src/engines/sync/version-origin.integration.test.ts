import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate as soon } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAddressGuard } from '../../net/guard.ts';
import type { Version } from './layout.ts';
import { openRcloneRun, type RcloneRun } from './open-run.ts';
import { makeRunDirectory } from './rclone/run-directory.ts';
import { readContent } from './read-content.ts';
import { resolveVersion, type VersionStore } from './resolve.ts';
import { localSide, makeSyncRunner, type SyncRunner, testCrypt } from './sync.test-kit.ts';
import { VersionOrigin } from './version-origin.ts';

const mebibyte = 1024 * 1024;
const signal = new AbortController().signal;

describe.each([{ encrypted: false }, { encrypted: true }])(
  'objects of a version, encrypted: $encrypted',
  ({ encrypted }) => {
    let runner: SyncRunner;
    beforeEach(async () => {
      runner = await makeSyncRunner(encrypted);
    });
    afterEach(() => runner.remove());

    async function opened<T>(work: (run: RcloneRun, store: VersionStore) => Promise<T>): Promise<T> {
      const directory = await makeRunDirectory();
      const run = await openRcloneRun({
        binary: 'rclone',
        directory,
        guard: createAddressGuard({ allow: [] }),
        destination: localSide(runner.place),
        crypt: encrypted ? testCrypt : null,
        onLine: () => undefined,
        signal,
      });
      try {
        return await work(run, { rc: run.rclone.rc, dstFs: run.dstFs, directory: directory.path, signal });
      } finally {
        await run.close();
        await directory.remove();
      }
    }

    async function stored(files: Readonly<Record<string, Buffer>>): Promise<Version> {
      for (const [name, content] of Object.entries(files)) {
        await mkdir(join(runner.source, name, '..'), { recursive: true });
        await writeFile(join(runner.source, name), content);
      }
      return (await runner.sync()).version;
    }

    it('are read ahead, eight at most, the large ones only when their turn comes', async () => {
      const files: Record<string, Buffer> = { 'dir/large': randomBytes(5 * mebibyte) };
      for (let at = 0; at < 40; at += 1) files[`dir/sub/${at}`] = Buffer.from(`small ${at}`);
      const version = await stored(files);
      await opened(async (run, store) => {
        let now = 0;
        let most = 0;
        let largeOpened = 0;
        const { rc } = run.rclone;
        const open = rc.open.bind(rc);
        rc.open = async (...asked) => {
          now += 1;
          most = Math.max(most, now);
          if (asked[1] === 'dir/large') largeOpened += 1;
          const answer = await open(...asked);
          answer.once('close', () => {
            now -= 1;
          });
          return answer;
        };
        const origin = new VersionOrigin(store, version, null);
        const plan = await origin.plan({ allowSetuid: false });
        expect(plan).toMatchObject({ fileCount: 41, entryCount: 44 });
        const directories: string[] = [];
        for await (const { member, chunks } of origin.fill(origin.entries())) {
          const path = member.path.toString();
          if (member.type === 'directory') {
            directories.push(path);
            continue;
          }
          for (let wait = 0; wait < 20; wait += 1) await soon();
          if (path === 'dir/large') expect(largeOpened).toBe(0);
          const pieces: Buffer[] = [];
          for await (const chunk of chunks) pieces.push(chunk);
          expect(Buffer.concat(pieces).equals(files[path] ?? Buffer.from('none'))).toBe(true);
        }
        expect(directories).toEqual(['.', 'dir', 'dir/sub']);
        expect(most).toBeGreaterThan(2);
        expect(most).toBeLessThanOrEqual(8);
        expect(await origin.moved()).toEqual([]);
      });
    });

    it('that fall silent while they are read are given up', async () => {
      const version = await stored({ large: randomBytes(5 * mebibyte) });
      await opened(async (run, store) => {
        const { places } = await resolveVersion(store, version);
        const [{ place, entries: [entry] = [] } = { place: '' }] = places;
        if (entry === undefined) throw new Error('there is no object');
        await run.rclone.rc.call('core/bwlimit', { rate: '1B' });
        const reading = async () => {
          for await (const _ of readContent(store, place, entry, 1500));
        };
        await expect(reading()).rejects.toMatchObject({ code: 'SYNC_STALLED', retryable: true });
      });
    });
  },
);
