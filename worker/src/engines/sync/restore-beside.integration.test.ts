import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RcloneRun } from './open-run.ts';
import { makeSyncRunner, type SyncRunner } from './sync.test-kit.ts';

const odd = 'two\nlines';

describe('a restore beside another run of its job', () => {
  let runner: SyncRunner;
  beforeEach(async () => {
    runner = await makeSyncRunner(false);
    for (const name of ['a', 'b', 'c', odd]) await writeFile(join(runner.source, name), `old ${name}`);
  });
  afterEach(() => runner.remove());

  /** Acts just before the first object is read from where the source is as it was last. */
  function beforeReading(act: () => Promise<unknown>): (run: RcloneRun) => void {
    let acted: Promise<unknown> | undefined;
    return ({ rclone }) => {
      const { rc } = rclone;
      const open = rc.open.bind(rc);
      rc.open = async (fs, path, ...more) => {
        if (path.startsWith('current/')) acted ??= act();
        await acted;
        return open(fs, path, ...more);
      };
    };
  }

  async function change(): Promise<void> {
    await writeFile(join(runner.source, 'a'), 'new a');
    await writeFile(join(runner.source, odd), 'new, on two lines');
    await rm(join(runner.source, 'b'));
  }

  it('brings what the version had from where a backup has moved it, also what is in the middle of its way', async () => {
    const { version } = await runner.sync();
    await change();
    const target = join(runner.root, 'back');
    const restored = await runner.restore(
      version,
      target,
      {},
      beforeReading(() => runner.sync()),
    );
    expect(restored).toMatchObject({ fileCount: 4, failed: [], actions: { create: 5 } });
    expect(await readdir(join(runner.place, 'versions'))).toHaveLength(1);
    for (const name of ['a', 'b', 'c', odd]) expect(await readFile(join(target, name), 'utf8')).toBe(`old ${name}`);
  });

  it('does so beside what is there as well', async () => {
    const { version } = await runner.sync();
    await change();
    const target = join(runner.root, 'back');
    await mkdir(target);
    for (const name of ['a', 'b']) await writeFile(join(target, name), 'another');
    const how = { overwrite: 'rename' } as const;
    const restored = await runner.restore(
      version,
      target,
      how,
      beforeReading(() => runner.sync()),
    );
    expect(restored).toMatchObject({ fileCount: 4, failed: [], actions: { create: 2, rename: 2, skip: 1 } });
    const names = await readdir(target);
    for (const name of ['a', 'b']) {
      const beside = names.filter((each) => each.startsWith(`${name} `));
      expect(beside).toHaveLength(1);
      expect(await readFile(join(target, beside[0] ?? ''), 'utf8')).toBe(`old ${name}`);
    }
  });

  it('says of what went while it was read that it is not restored', async () => {
    const { version } = await runner.sync();
    const [from, away] = [join(runner.place, 'current', 'b'), join(runner.root, 'away')];
    const goes = beforeReading(() => rename(from, away));
    await expect(runner.restore(version, join(runner.root, 'back'), {}, goes)).rejects.toMatchObject({
      code: 'SYNC_VERSION_BROKEN',
    });
  });
});
