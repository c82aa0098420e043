import { chmod, mkdir, mkdtemp, open, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { describeOutcome, startChild } from '../process/run-child.ts';
import { describeSnapshotStorage } from './conformance.ts';
import { createLocalFsStorage, localPathOf, placeOfLocalPath } from './local-fs.ts';
import { LocalFileWriter } from './local-fs-files.ts';
import { type StoredItem, snapshotFiles } from './storage.ts';

const place = { tenantId: 't', sourceId: 's', snapshotId: 'snap' };

describeSnapshotStorage('local_fs', async () => {
  const root = await mkdtemp(join(tmpdir(), 'xvault-storage-'));
  return {
    // Two levels that are not there yet.
    storage: createLocalFsStorage(join(root, 'var', 'backups')),
    attemptsSideBySide: true,
    close: () => rm(root, { recursive: true, force: true }),
  };
});

describe('local_fs', () => {
  let root: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'xvault-storage-'));
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  async function publish(): Promise<string> {
    const pending = await createLocalFsStorage(root).create(place, 1);
    const writer = await pending.createFile(snapshotFiles.artifact);
    await writer.write(Buffer.from('data'));
    await writer.close();
    await pending.commit();
    return join(root, localPathOf(place));
  }

  it('keeps files 0600 in directories 0700, at the documented path', async () => {
    const directory = await publish();
    expect(directory).toBe(join(root, 'tenants/t/sources/s/snapshots/snap'));
    expect((await stat(join(directory, snapshotFiles.artifact))).mode & 0o7777).toBe(0o600);
    for (const path of ['tenants', 'tenants/t', 'tenants/t/sources/s/snapshots/snap']) {
      expect((await stat(join(root, path))).mode & 0o7777).toBe(0o700);
    }
    expect(placeOfLocalPath(localPathOf(place))).toEqual(place);
    expect(() => placeOfLocalPath('tenants/t/sources/../snapshots/snap')).toThrow(/not where it should be/);
  });

  it('passes over strangers when it lists', async () => {
    await publish();
    const snapshots = join(root, 'tenants/t/sources/s/snapshots');
    await writeFile(join(root, 'tenants', 'notes.txt'), '');
    await mkdir(join(root, 'tenants', 'lost+found'));
    await mkdir(join(root, 'tenants', 'empty'));
    await writeFile(join(snapshots, 'file'), '');
    for (const name of ['snap.part-x', 'snap.part-01', 'a b', '.snap']) await mkdir(join(snapshots, name));
    await symlink('/', join(snapshots, 'link'));
    const found: StoredItem[] = [];
    for await (const item of createLocalFsStorage(root).list()) found.push(item);
    expect(found).toEqual([{ place, epoch: null }]);
  });

  it('does not read through a symlink in the place of a file', async () => {
    const directory = await publish();
    await rm(join(directory, snapshotFiles.artifact));
    await symlink('/etc/passwd', join(directory, snapshotFiles.artifact));
    const opening = createLocalFsStorage(root).open(place, snapshotFiles.artifact);
    await expect(opening).rejects.toMatchObject({ code: 'ARTIFACT_MISSING' });
  });

  it('finishes a deletion that was interrupted', async () => {
    const directory = await publish();
    await mkdir(`${directory}.part-0`);
    await writeFile(join(`${directory}.part-0`, snapshotFiles.meta), '{}');
    await createLocalFsStorage(root).delete(place);
    expect(await readdir(join(directory, '..'))).toEqual([]);
  });

  it('says STORAGE_FAILED, with the reason for operators only, where it may not write', async () => {
    await writeFile(join(root, 'tenants'), 'in the way');
    const creating = createLocalFsStorage(root).create(place, 1);
    await expect(creating).rejects.toMatchObject({ code: 'STORAGE_FAILED', detail: expect.stringContaining(root) });
    await expect(creating).rejects.not.toThrow(root);
  });

  it('says STORAGE_FULL when the kernel does, and does not write on', async () => {
    const writer = new LocalFileWriter(await open('/dev/full', 'w'), '/dev/full');
    await expect(writer.write(Buffer.alloc(10))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await expect(writer.write(Buffer.alloc(10))).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await expect(writer.close()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
    await writer.discard();
  });

  it('leaves nothing behind on a disk that runs full', async () => {
    // A mount namespace of its own: the file system is gone with the process, however it ends.
    await chmod(root, 0o700);
    const script = `mount -t tmpfs -o size=8m tmpfs "$1" && exec "$2" "$3" "$1"`;
    const child = startChild({
      file: 'unshare',
      args: [
        ...(process.getuid?.() === 0 ? [] : ['--user', '--map-root-user']),
        '--mount',
        'sh',
        '-c',
        script,
        'sh',
        root,
        process.execPath,
        join(import.meta.dirname, 'local-fs-full-disk.ts'),
      ],
      stdout: 'pipe',
    });
    const [text, outcome] = await Promise.all([child.stdout?.toArray(), child.outcome]);
    expect(describeOutcome('full disk', outcome)).toBe('full disk ended with exit code 0');
    const result: unknown = JSON.parse(Buffer.concat(text ?? []).toString());
    expect(result).toEqual({ code: 'STORAGE_FULL', left: [], freeAgain: true });
  });
});
