import { createHash } from 'node:crypto';
import { cp, mkdir, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { formatVersion, manifestFile, type Version } from './layout.ts';
import type { RcloneRun } from './open-run.ts';
import { makeSyncRunner, type SyncRunner } from './sync.test-kit.ts';

let runner: SyncRunner;
beforeEach(async () => {
  runner = await makeSyncRunner(false);
});
afterEach(() => runner.remove());

const put = (path: string, content: string) => writeFile(join(runner.source, path), content);
const below = async (folder: string) => {
  const entries = await readdir(join(runner.place, folder), { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
};
const manifestOf = (version: Version) => join(runner.place, 'manifests', manifestFile(version));
const hashOf = async (version: Version) =>
  createHash('sha256')
    .update(await readFile(manifestOf(version)))
    .digest('hex');

/** By its time: of a run that is its manifest, however it is named. */
async function newestFile(): Promise<string> {
  const entries = await readdir(runner.place, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  const timed = await Promise.all(files.map(async (file) => ({ file, at: (await stat(file)).mtimeMs })));
  return timed.reduce((a, b) => (a.at > b.at ? a : b)).file;
}

/** One after another, each with another content of `a`. */
async function versionsOf(count: number): Promise<Version[]> {
  const made: Version[] = [];
  for (let at = 1; at <= count; at += 1) {
    await put('a', `state ${'x'.repeat(at)}`);
    made.push((await runner.sync()).version);
  }
  return made;
}

async function expectRestores(version: Version, content: string): Promise<void> {
  const target = join(runner.root, `back-${formatVersion(version)}-${Math.random()}`);
  await runner.restore(version, target);
  expect(await readFile(join(target, 'a'), 'utf8')).toBe(content);
  expect(await runner.validate(version, 'full')).toMatchObject({ differing: [] });
}

/** Acts before rclone is first asked for this. */
function onCall(wanted: string, act: () => Promise<unknown>): (run: RcloneRun) => void {
  let acted: Promise<unknown> | undefined;
  return ({ rclone: { rc } }) => {
    const call = rc.call.bind(rc);
    rc.call = async (method, input, signal) => {
      if (method === wanted) acted ??= act();
      await acted;
      return call(method, input, signal);
    };
  };
}

describe('a deletion that was asked for long ago', () => {
  it('leaves what was committed since as it is', async () => {
    const [first, ...later] = (await versionsOf(5)) as [Version, ...Version[]];
    const known = later[0] ? [later[0]] : [];
    expect(await runner.retain(first, known)).toEqual({ removedObjects: 1, removedVersions: 1 });
    for (const [at, version] of later.entries()) await expectRestores(version, `state ${'x'.repeat(at + 2)}`);
    await expect(runner.validate(first, 'quick')).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
  });

  it('leaves what the newest ones replaced, where it was the newest itself', async () => {
    const [first, second, third] = (await versionsOf(3)) as [Version, Version, Version];
    await runner.retain(second, [first]);
    await expectRestores(first, 'state x');
    await expectRestores(third, 'state xxx');
  });

  it('leaves another version that has taken its name since, and goes when it is its own', async () => {
    const [first, second] = (await versionsOf(2)) as [Version, Version];
    await runner.retain(second, [first]);
    const sha256 = await hashOf(first);
    expect(await runner.retain(first, [], 'f'.repeat(64))).toEqual({ removedObjects: 0, removedVersions: 0 });
    await expectRestores(first, 'state x');
    expect(await runner.retain(first, [first], sha256)).toMatchObject({ removedVersions: 0 });
    await expectRestores(first, 'state x');
    expect(await runner.retain(first, [], sha256)).toMatchObject({ removedVersions: 1 });
  });

  it('leaves one that has got a number which the deletion had freed, however late it comes again', async () => {
    const [first] = (await versionsOf(1)) as [Version];
    const [second, third] = [(await runner.sync()).version, (await runner.sync()).version];
    const sha256 = await hashOf(third);
    await runner.retain(second, [first, third]);
    await runner.retain(third, [first]);
    const { version: fourth } = await runner.sync();
    expect(fourth.number).toBe(second.number);
    await runner.retain(third, [first, second], sha256);
    await expectRestores(fourth, 'state x');
  });

  it('removes nothing while a manifest that stays cannot be read', async () => {
    const [first, second] = (await versionsOf(2)) as [Version, Version];
    const manifest = manifestOf(second);
    await cp(manifest, `${manifest}.whole`);
    await truncate(manifest, 40);
    await expect(runner.retain(first, [second])).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
    await rename(`${manifest}.whole`, manifest);
    await expectRestores(first, 'state x');
    // Listed, and not there when it is asked for.
    const goes = onCall('operations/copyfile', () => rename(manifest, `${manifest}.whole`));
    await expect(runner.retain(first, [second], undefined, goes)).rejects.toMatchObject({
      code: 'SYNC_VERSION_BROKEN',
    });
    await expectRestores(first, 'state x');
  });

  it.each([{ encrypted: false }, { encrypted: true }])(
    'removes a version whose own manifest is damaged, encrypted: $encrypted',
    async ({ encrypted }) => {
      await runner.remove();
      runner = await makeSyncRunner(encrypted);
      const [first] = (await versionsOf(1)) as [Version];
      const manifest = await newestFile();
      await put('a', 'second');
      const { version: second } = await runner.sync();
      await truncate(manifest, 90);
      await expect(runner.validate(first, 'quick')).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
      expect(await runner.retain(first, [second], 'f'.repeat(64))).toMatchObject({ removedVersions: 1 });
      await expectRestores(second, 'second');
    },
  );

  it('takes with it what an attempt left that was never committed, and is older than what stays', async () => {
    const [first, lost, third] = (await versionsOf(3)) as [Version, Version, Version];
    expect(await runner.retain(first, [third])).toEqual({ removedObjects: 2, removedVersions: 2 });
    await expectRestores(third, 'state xxx');
    await expect(runner.validate(lost, 'quick')).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
  });
});

describe('what is in current/', () => {
  it('goes when no version needs it any more, as after a new pattern', async () => {
    await mkdir(join(runner.source, 'cache'));
    for (const name of ['one', 'two']) await put(`cache/${name}`, 'c');
    await put('a', 'a');
    const { version: first } = await runner.sync();
    const { version: second } = await runner.sync({ exclude: ['cache/'] });
    expect((await below('current')).sort()).toEqual(['a', 'one', 'two']);
    expect(await runner.retain(first, [second])).toEqual({ removedObjects: 2, removedVersions: 1 });
    expect(await readdir(join(runner.place, 'current'))).toEqual(['a']);
    await expectRestores(second, 'a');
  });

  it('goes with the newest version as far as no older one has it, and is brought again by the next run', async () => {
    await put('a', 'first');
    await put('b', 'same');
    const { version: first } = await runner.sync();
    await put('a', 'second');
    await put('new', 'new');
    const { version: second } = await runner.sync();
    await runner.retain(second, [first]);
    expect(await below('current')).toEqual(['b']);
    await expectRestores(first, 'first');
    const { version: third, failed } = await runner.sync();
    expect(failed).toEqual([]);
    await expectRestores(first, 'first');
    await expectRestores(third, 'second');
  });

  it.each([{ encrypted: false }, { encrypted: true }])(
    'goes as a whole with the last version, and the next run brings all again, encrypted: $encrypted',
    async ({ encrypted }) => {
      await runner.remove();
      runner = await makeSyncRunner(encrypted);
      const [first, second] = (await versionsOf(2)) as [Version, Version];
      await runner.retain(first, [second]);
      await runner.retain(second, []);
      expect(await below('')).toHaveLength(1);
      // Asked again, as after an answer that was lost.
      expect(await runner.retain(second, [])).toEqual({ removedObjects: 0, removedVersions: 0 });
      const wrong = { password: 'another password', salt: 'another salt' };
      if (encrypted)
        await expect(runner.sync({}, { crypt: wrong })).rejects.toMatchObject({ code: 'SYNC_SENTINEL_MISSING' });
      const { version, failed, transfers } = await runner.sync();
      expect({ failed, transfers }).toEqual({ failed: [], transfers: 1 });
      await expectRestores(version, 'state xx');
    },
  );

  it('stays as it is when an attempt has begun since, and the deletion is tried again', async () => {
    const [first, second] = (await versionsOf(2)) as [Version, Version];
    await put('a', 'of the attempt');
    const begins = onCall('operations/deletefile', () => runner.sync());
    await expect(runner.retain(first, [second], undefined, begins)).rejects.toMatchObject({ code: 'SYNC_FAILED' });
    expect(await readFile(join(runner.place, 'current', 'a'), 'utf8')).toBe('of the attempt');
    await expectRestores(second, 'state xx');
    expect(await runner.retain(first, [second])).toEqual({ removedObjects: 0, removedVersions: 1 });
    await expectRestores(second, 'state xx');
  });

  it('keeps what a newer attempt has brought that is not committed yet', async () => {
    const [first] = (await versionsOf(1)) as [Version];
    await put('a', 'of the attempt');
    await put('b', 'of the attempt too');
    const { version } = await runner.sync();
    await rm(manifestOf(version));
    await runner.retain(first, []);
    expect((await below('current')).sort()).toEqual(['a', 'b']);
    const { failed, transfers } = await runner.sync();
    expect({ failed, transfers }).toEqual({ failed: [], transfers: 0 });
  });
});
