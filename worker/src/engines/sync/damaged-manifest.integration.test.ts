import { readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeSyncRunner, type SyncRunner } from './sync.test-kit.ts';

describe.each([{ encrypted: false }, { encrypted: true }])(
  'the newest manifest is damaged, encrypted: $encrypted',
  ({ encrypted }) => {
    let runner: SyncRunner;
    beforeEach(async () => {
      runner = await makeSyncRunner(encrypted);
      for (let at = 0; at < 20; at += 1) await writeFile(join(runner.source, `f${at}`), `first ${at}`);
    });
    afterEach(() => runner.remove());

    /** The file that was written last. */
    async function newestFile(): Promise<string> {
      const all = await readdir(runner.place, { recursive: true, withFileTypes: true });
      const paths = all.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
      const aged = await Promise.all(paths.map(async (path) => ({ path, birth: (await stat(path)).birthtimeMs })));
      return aged.reduce((last, each) => (each.birth > last.birth ? each : last)).path;
    }

    it.each(encrypted ? [20, 300] : [0, 60, 300])(
      'after %i bytes: the next run makes a version that is whole',
      async (length) => {
        const { version: first } = await runner.sync();
        await writeFile(join(runner.source, 'f1'), 'second');
        await rm(join(runner.source, 'f2'));
        const { version: second } = await runner.sync();
        await truncate(await newestFile(), length);
        const broken = { code: 'SYNC_VERSION_BROKEN' };
        await expect(runner.validate(second, 'quick')).rejects.toMatchObject(broken);

        await writeFile(join(runner.source, 'f3'), 'third');
        await rm(join(runner.source, 'f4'));
        const third = await runner.sync();
        expect(third).toMatchObject({ damaged: second, failed: [], objectCount: 18 });
        expect(await runner.validate(third.version, 'full')).toMatchObject({ objectsChecked: 18, differing: [] });
        expect(await runner.validate(first, 'full')).toMatchObject({ objectsChecked: 20, differing: [] });
        await expect(runner.validate(second, 'quick')).rejects.toMatchObject(broken);
        expect(await runner.sync()).toMatchObject({ damaged: null, hasChanged: false, objectCount: 18 });
        await runner.retain(second, [first, third.version]);
        expect(await runner.validate(first, 'full')).toMatchObject({ differing: [] });
      },
    );

    it('what is there is guarded all the same', async () => {
      const { version } = await runner.sync();
      await truncate(await newestFile(), 60);
      for (let at = 0; at < 15; at += 1) await rm(join(runner.source, `f${at}`));
      const guarded = { code: 'SYNC_DELETE_GUARD' };
      await expect(runner.sync({ max_delete_percent: 50 })).rejects.toMatchObject(guarded);
      for (let at = 15; at < 20; at += 1) await rm(join(runner.source, `f${at}`));
      await expect(runner.sync({ max_delete_percent: 50 })).rejects.toMatchObject(guarded);
      for (let at = 0; at < 20; at += 1) await writeFile(join(runner.source, `f${at}`), `first ${at}`);
      expect(await runner.sync({ max_delete_percent: 50 })).toMatchObject({ damaged: version, objectCount: 20 });
    });
  },
);
