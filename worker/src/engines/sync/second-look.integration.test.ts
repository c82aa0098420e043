import { appendFile, mkdir, readdir, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, expect, it } from 'vitest';
import type { RcloneRun } from './open-run.ts';
import { makeSyncRunner, type SyncRunner } from './sync.test-kit.ts';

let runner: SyncRunner;
afterEach(() => runner.remove());

const at = (...parts: string[]) => join(runner.source, ...parts);

/** Lets something happen at the source after it was listed and before rclone looks at it by itself. */
function beforeTransfer(happens: () => Promise<unknown>) {
  return ({ rclone: { rc } }: RcloneRun) => {
    const call = rc.call.bind(rc);
    let isDue = true;
    rc.call = async (method, ...more) => {
      if (method === 'sync/sync' && isDue) {
        isDue = false;
        await happens();
      }
      return call(method, ...more);
    };
  };
}

async function restored(version: Parameters<SyncRunner['restore']>[0]): Promise<Record<string, string>> {
  const to = join(runner.root, `back-${version.number}`);
  await runner.restore(version, to);
  const names = await readdir(to);
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name, await readFile(join(to, name), 'utf8')])),
  );
}

it.each([
  { encrypted: false, when: 'its first version' },
  { encrypted: false, when: 'a later version' },
  { encrypted: true, when: 'its first version' },
  { encrypted: true, when: 'a later version' },
])('what grows between two looks at the source is in $when, encrypted: $encrypted', async ({ encrypted, when }) => {
  runner = await makeSyncRunner(encrypted);
  await writeFile(at('app.log'), 'line 1\n');
  await writeFile(at('b'), 'b');
  if (when === 'a later version') {
    await runner.sync();
    await appendFile(at('app.log'), 'line 2\n');
  }
  const onRun = beforeTransfer(() => appendFile(at('app.log'), 'line 3\n'));
  const { failed, version } = await runner.sync({}, { onRun });
  expect(failed).toEqual([]);
  expect(await restored(version)).toEqual({ 'app.log': await readFile(at('app.log'), 'utf8'), b: 'b' });
  expect(await runner.validate(version, 'full')).toMatchObject({ differing: [] });
});

it('what goes away between two looks at the source is no failure', async () => {
  runner = await makeSyncRunner(false);
  for (const name of ['a', 'b', 'c']) await writeFile(at(name), name);
  const { version } = await runner.sync();
  await writeFile(at('a'), 'changed');
  const second = await runner.sync({}, { onRun: beforeTransfer(() => rm(at('a'))) });
  expect(second.failed).toEqual([]);
  expect(await restored(second.version)).toEqual({ b: 'b', c: 'c' });
  expect(await restored(version)).toEqual({ a: 'a', b: 'b', c: 'c' });
});

it('a name that is written with other accents is another name', async () => {
  runner = await makeSyncRunner(false);
  const [composed, decomposed] = ['caf\u00e9', 'cafe\u0301'];
  await writeFile(at(composed), 'one');
  await writeFile(at('b'), 'b');
  await runner.sync();
  await rename(at(composed), at(decomposed));
  const renamed = await runner.sync();
  expect(renamed).toMatchObject({ failed: [], objectCount: 2 });
  expect(await restored(renamed.version)).toEqual({ [decomposed]: 'one', b: 'b' });
  await writeFile(at(composed), 'both');
  const both = await runner.sync();
  expect(await restored(both.version)).toEqual({ [decomposed]: 'one', [composed]: 'both', b: 'b' });
});

it.each([
  { encrypted: true, sees: 'its time' },
  { encrypted: false, sees: 'its time' },
  { encrypted: false, sees: 'its checksum' },
])('comparing by checksum misses nothing that $sees tells, encrypted: $encrypted', async ({ encrypted, sees }) => {
  runner = await makeSyncRunner(encrypted);
  const time = new Date('2026-01-02T03:04:05Z');
  await writeFile(at('a'), 'one');
  await utimes(at('a'), time, time);
  await writeFile(at('b'), 'b');
  await runner.sync({ checksum: true });
  await writeFile(at('a'), 'two');
  if (sees === 'its checksum') await utimes(at('a'), time, time);
  const changed = await runner.sync({ checksum: true });
  expect(changed).toMatchObject({ failed: [], transfers: 1, deletes: 0 });
  expect(await restored(changed.version)).toEqual({ a: 'two', b: 'b' });
  expect(await runner.sync({ checksum: true })).toMatchObject({ hasChanged: false, transfers: 0 });
});

it('what somebody left at the destination does not count as removed from the source', async () => {
  runner = await makeSyncRunner(false);
  await writeFile(at('dump.sql'), 'one');
  await runner.sync({ max_delete_percent: 50 });
  // Of an attempt that was cut short, or of an rclone that was killed.
  await writeFile(join(runner.place, 'current', 'dump.sql.1a2b3c4d.partial'), 'half');
  await writeFile(at('dump.sql'), 'other');
  const { version, failed } = await runner.sync({ max_delete_percent: 50 });
  expect(failed).toEqual([]);
  expect(await restored(version)).toEqual({ 'dump.sql': 'other' });
  expect(await readdir(join(runner.place, 'current'))).toEqual(['dump.sql']);
});

it('what an attempt that was cut short moved away comes back where the new one cannot be read', async () => {
  runner = await makeSyncRunner(false);
  await writeFile(at('a'), 'old');
  await writeFile(at('b'), 'b');
  await runner.sync();
  const kept = join(runner.place, 'versions', '00000002-7-1');
  await mkdir(kept, { recursive: true });
  await rename(join(runner.place, 'current', 'a'), join(kept, 'a'));
  await writeFile(at('a'), Buffer.alloc(100_000));
  // Slowly, so that it is seen to change while it is read.
  const growing = setInterval(() => void appendFile(at('a'), 'more').catch(() => undefined), 20);
  const onRun = ({ rclone: { rc } }: RcloneRun) => void rc.call('core/bwlimit', { rate: '10k' });
  const { failed, version } = await runner.sync({}, { onRun }).finally(() => clearInterval(growing));
  expect(failed).toEqual(['a']);
  expect(await restored(version)).toEqual({ a: 'old', b: 'b' });
});
