import { mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { restoreToDirectory } from './restore-directory.ts';
import { RestoreJournal } from './restore-journal.ts';
import { artifactOrigin } from './restore-origin.ts';
import { makeSnapshot, type TestFolder, type TestSnapshot, testFolder } from './restore-test-kit.ts';

let folder: TestFolder;
let allowed: string;
let notes: string;
beforeEach(async () => {
  folder = await testFolder();
  [allowed, notes] = [join(folder.path, 'allowed'), join(folder.path, 'notes')];
  await mkdir(allowed);
});
afterEach(() => folder.remove());

/** A later process of the same worker knows no more than the notes. */
const journalOfAProcess = () => new RestoreJournal(notes);

async function restore(snapshot: TestSnapshot, journal: RestoreJournal, runId: string, epoch: number) {
  const reader = await snapshot.open();
  const common = { origin: artifactOrigin(reader, null), allowedRoots: [allowed], allowSetuid: false };
  try {
    const signal = new AbortController().signal;
    return await restoreToDirectory({ ...common, targetPath: join(allowed, 'target'), runId, epoch, journal, signal });
  } finally {
    await reader.close();
  }
}

async function makeTree(): Promise<TestSnapshot> {
  return makeSnapshot(folder.path, [
    { path: '.', type: 'directory' },
    { path: 'a', type: 'file', data: 'a' },
  ]);
}

test('what a killed process left is removed by the next one, and by none before', async () => {
  const killed = journalOfAProcess();
  const staging = join(allowed, '.xvault-restore-run-1.part');
  await killed.begin({ runId: 'run', epoch: 1 }, staging, join(allowed, 'target'));
  await mkdir(join(staging, 'half'), { recursive: true, mode: 0o500 });
  await killed.made({ runId: 'run', epoch: 1 }, staging, join(allowed, 'target'));
  expect(await killed.sweep(Date.now())).toBe(0);
  expect(await journalOfAProcess().sweep(Date.now())).toBe(1);
  expect([await readdir(allowed), await readdir(notes)]).toEqual([[], []]);
});

test('a process that was killed before it made anything leaves no note for ever', async () => {
  await journalOfAProcess().begin({ runId: 'run', epoch: 1 }, join(allowed, 'never-made'), join(allowed, 'target'));
  expect(await journalOfAProcess().sweep(Date.now())).toBe(0);
  expect(await readdir(notes)).toEqual([]);
});

test('a later attempt of a run finds what an earlier one published; another run does not take it for its own', async () => {
  const snapshot = await makeTree();
  const first = await restore(snapshot, journalOfAProcess(), 'run', 1);
  expect(await journalOfAProcess().sweep(Date.now())).toBe(0);
  expect(await restore(snapshot, journalOfAProcess(), 'run', 2)).toEqual(first);
  const other = restore(snapshot, journalOfAProcess(), 'other-run', 1);
  await expect(other).rejects.toMatchObject({ code: 'RESTORE_TARGET_NOT_EMPTY' });
  expect(await readdir(allowed)).toEqual(['target']);
});

test('a directory that somebody else has put in its place is not what was published', async () => {
  const snapshot = await makeTree();
  await restore(snapshot, journalOfAProcess(), 'run', 1);
  // Made before the other one goes, so that it cannot have its inode.
  await mkdir(join(folder.path, 'theirs'));
  await writeFile(join(folder.path, 'theirs', 'file'), 'theirs');
  await rm(join(allowed, 'target'), { recursive: true });
  await rename(join(folder.path, 'theirs'), join(allowed, 'target'));
  const again = restore(snapshot, journalOfAProcess(), 'run', 2);
  await expect(again).rejects.toMatchObject({ code: 'RESTORE_TARGET_NOT_EMPTY' });
});

test('the note of a published restore goes after a day, what it names stays', async () => {
  await restore(await makeTree(), journalOfAProcess(), 'run', 1);
  const [name = ''] = await readdir(notes);
  const old = new Date(Date.now() - 86_500_000);
  await utimes(join(notes, name), old, old);
  expect(await journalOfAProcess().sweep(Date.now())).toBe(0);
  expect([await readdir(notes), await readdir(allowed)]).toEqual([[], ['target']]);
});
