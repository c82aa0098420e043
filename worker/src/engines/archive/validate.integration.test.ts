import { randomBytes } from 'node:crypto';
import { open, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { snapshotFiles } from '../../storage/storage.ts';
import { damaged, fuzzRuns } from '../../testing/mutations.ts';
import { makeSnapshot, type TestFolder, type TestSnapshot, type TreeEntry, testFolder } from './restore-test-kit.ts';
import { type ValidateOptions, type ValidationOutcome, validateSnapshot } from './validate.ts';

const root: TreeEntry = { path: '.', type: 'directory' };
const tree: TreeEntry[] = [
  root,
  { path: 'dir', type: 'directory', mode: 0o1700 },
  { path: 'dir/a', type: 'file', data: randomBytes(5_000_000) },
  { path: 'dir/b', type: 'file', data: randomBytes(5_000_000) },
  { path: 'dir/c', type: 'file', data: randomBytes(5_000_000) },
  { path: 'empty', type: 'file' },
  { path: 'shrank', type: 'file', data: 'x', announcedBytes: 100_000 },
  { path: 'link', type: 'symlink', target: 'nowhere' },
  { path: 'again', type: 'hardlink', target: 'dir/a' },
  { path: Buffer.from(`${'n'.repeat(200)}\xff`, 'latin1'), type: 'file', data: 'long', mtimeNs: -5n },
];

let folder: TestFolder;
beforeEach(async () => {
  folder = await testFolder();
});
afterEach(() => folder.remove());

async function validate(snapshot: TestSnapshot, changed: Partial<ValidateOptions> = {}): Promise<ValidationOutcome> {
  const { storage, place, ref, identity } = snapshot;
  const signal = new AbortController().signal;
  const known = { storage, place, ref, identities: [identity], level: 'full', signal } as const;
  return await validateSnapshot({ ...known, ...changed });
}

/** Flips one bit of a stored file. */
async function damage(snapshot: TestSnapshot, name: string, position: number): Promise<void> {
  const handle = await open(join(snapshot.directory, name), 'r+');
  try {
    const byte = Buffer.alloc(1);
    await handle.read(byte, 0, 1, position);
    await handle.write(Buffer.from([byte.readUInt8(0) ^ 0x10]), 0, 1, position);
  } finally {
    await handle.close();
  }
}

describe('validating', () => {
  it('finds a good snapshot good', async () => {
    const snapshot = await makeSnapshot(folder.path, tree);
    const seen: { bytesDone: number; bytesTotal: number | null }[] = [];
    const outcome = await validate(snapshot, { onProgress: (status) => seen.push(status) });
    expect(outcome).toEqual({
      verdict: 'success',
      filesChecked: 6,
      bytesChecked: 15_100_004,
      differing: [],
      errorCode: null,
      detail: null,
    });
    const done = seen.map(({ bytesDone }) => bytesDone);
    expect(done).toEqual(done.toSorted((a, b) => a - b));
    expect(seen.at(-1)?.bytesDone).toBe(seen.at(-1)?.bytesTotal);
  });

  it('finds an empty snapshot good', async () => {
    expect((await validate(await makeSnapshot(folder.path, [root]))).verdict).toBe('success');
  });

  it('names the files that a flipped bit has damaged, and only those', async () => {
    const snapshot = await makeSnapshot(folder.path, tree);
    await damage(snapshot, snapshotFiles.artifact, 2_000_000);
    const outcome = await validate(snapshot);
    expect(outcome).toMatchObject({ verdict: 'failed', errorCode: 'ARTIFACT_CORRUPT' });
    expect(outcome.differing).toContain('dir/a');
    expect(outcome.differing).not.toContain('dir/c');
    expect(outcome.filesChecked).toBeGreaterThanOrEqual(4);
  });

  it('finds a flipped bit anywhere', async () => {
    const snapshot = await makeSnapshot(folder.path, tree.slice(0, 3));
    for (const [name, sizeBytes] of [
      [snapshotFiles.artifact, snapshot.ref.artifact_bytes],
      [snapshotFiles.index, snapshot.ref.index_bytes],
    ] as const) {
      const good = await readFile(join(snapshot.directory, name));
      for (const position of [0, 30, 100, 199, 260, Math.floor(sizeBytes / 2), sizeBytes - 20, sizeBytes - 1]) {
        await damage(snapshot, name, position);
        expect([name, position, await validate(snapshot)]).toMatchObject([
          name,
          position,
          { verdict: 'failed', errorCode: 'ARTIFACT_CORRUPT' },
        ]);
        await writeFile(join(snapshot.directory, name), good);
      }
    }
    expect((await validate(snapshot)).verdict).toBe('success');
  });

  it('finds a truncated file', async () => {
    for (const name of [snapshotFiles.artifact, snapshotFiles.index]) {
      for (const keep of [0, 10, 300, -70_000, -1]) {
        await rm(join(folder.path, 'storage'), { recursive: true, force: true });
        const snapshot = await makeSnapshot(folder.path, tree);
        const full = name === snapshotFiles.artifact ? snapshot.ref.artifact_bytes : snapshot.ref.index_bytes;
        await truncate(join(snapshot.directory, name), Math.max(keep < 0 ? full + keep : keep, 0));
        const outcome = await validate(snapshot);
        expect([name, keep, outcome.errorCode]).toEqual([name, keep, 'ARTIFACT_TRUNCATED']);
      }
    }
  });

  it('finds a missing file', async () => {
    for (const name of [snapshotFiles.artifact, snapshotFiles.index]) {
      await rm(join(folder.path, 'storage'), { recursive: true, force: true });
      const snapshot = await makeSnapshot(folder.path, tree.slice(0, 2));
      await rm(join(snapshot.directory, name));
      expect(await validate(snapshot)).toMatchObject({ verdict: 'failed', errorCode: 'ARTIFACT_MISSING' });
    }
  });

  it('says when the key is the wrong one', async () => {
    const snapshot = await makeSnapshot(folder.path, tree.slice(0, 2));
    const { identity } = await generateKeyPair();
    const outcome = await validate(snapshot, { identities: [identity] });
    expect(outcome).toMatchObject({ verdict: 'failed', errorCode: 'IDENTITY_MISMATCH' });
  });

  it('finds that the artifact is another one, although it is whole', async () => {
    const snapshot = await makeSnapshot(folder.path, tree.slice(0, 2));
    const ref = { ...snapshot.ref, artifact_sha256: '0'.repeat(64) };
    expect(await validate(snapshot, { ref })).toMatchObject({ verdict: 'failed', errorCode: 'ARTIFACT_CORRUPT' });
  });

  it('finds a hard link to what is not there', async () => {
    const snapshot = await makeSnapshot(folder.path, [
      root,
      { path: 'early', type: 'hardlink', target: 'file' },
      { path: 'file', type: 'file', data: 'x' },
      { path: 'good', type: 'hardlink', target: 'file' },
      { path: 'bad', type: 'hardlink', target: 'missing' },
    ]);
    expect(await validate(snapshot)).toMatchObject({ errorCode: 'ARTIFACT_CORRUPT', differing: ['early', 'bad'] });
  });

  it('finds every single damaged byte of a stored file', async () => {
    const snapshot = await makeSnapshot(folder.path, [
      root,
      { path: 'file', type: 'file', data: 'some words' },
      { path: 'link', type: 'symlink', target: 'file' },
    ]);
    for (const name of [snapshotFiles.artifact, snapshotFiles.index, snapshotFiles.manifest]) {
      const good = await readFile(join(snapshot.directory, name));
      for (let position = 0; position < good.length; position += 1) {
        const bad = Buffer.from(good);
        bad.writeUInt8(bad.readUInt8(position) ^ (1 << (position % 8)), position);
        await writeFile(join(snapshot.directory, name), bad);
        const outcome = await validate(snapshot);
        expect([name, position, outcome.verdict]).toEqual([name, position, 'failed']);
        expect(['ARTIFACT_CORRUPT', 'ARTIFACT_TRUNCATED']).toContain(outcome.errorCode);
      }
      await writeFile(join(snapshot.directory, name), good);
    }
    expect((await validate(snapshot)).verdict).toBe('success');
  });

  it('comes to a verdict whatever is done to the stored files, and never to a good one', async () => {
    const snapshot = await makeSnapshot(folder.path, [root, ...tree.slice(5, 8), ...tree.slice(9)]);
    const names = Object.values(snapshotFiles);
    const good = new Map<string, Buffer>();
    for (const name of names) good.set(name, await readFile(join(snapshot.directory, name)));
    const damage = fc
      .constantFrom(...names)
      .chain((name) => damaged(good.get(name) ?? Buffer.alloc(0), 65_552).map((bad) => ({ name, bad })));
    await fc.assert(
      fc.asyncProperty(damage, async ({ name, bad }) => {
        const path = join(snapshot.directory, name);
        const before = good.get(name) ?? bad;
        try {
          await writeFile(path, bad);
          const full = await validate(snapshot);
          await validate(snapshot, { level: 'quick' });
          // Of meta.json the Hub knows only some fields.
          if (name !== snapshotFiles.meta) expect(full.verdict).toBe(bad.equals(before) ? 'success' : 'failed');
        } finally {
          await writeFile(path, before);
        }
      }),
      fuzzRuns(150),
    );
    expect((await validate(snapshot)).verdict).toBe('success');
  });

  it('finds a manifest or meta.json that is missing, damaged or of another snapshot', async () => {
    const snapshot = await makeSnapshot(folder.path, tree.slice(0, 2));
    const path = (name: string) => join(snapshot.directory, name);
    for (const name of [snapshotFiles.manifest, snapshotFiles.meta]) {
      const good = await readFile(path(name), 'utf8');
      for (const bad of ['', '{}', 'null', good.slice(0, 100), good.replaceAll('"snap"', '"other"')]) {
        await writeFile(path(name), bad);
        for (const level of ['quick', 'full'] as const) {
          expect([name, bad, (await validate(snapshot, { level })).verdict]).toEqual([name, bad, 'failed']);
        }
      }
      await rm(path(name));
      expect(await validate(snapshot, { level: 'quick' })).toMatchObject({ errorCode: 'ARTIFACT_MISSING' });
      await writeFile(path(name), good);
    }
    expect((await validate(snapshot)).verdict).toBe('success');
  });

  it('quick: finds other sizes, other manifests, damaged headers and ends, and reads no contents', async () => {
    const snapshot = await makeSnapshot(folder.path, tree);
    const quick = (changed: Partial<ValidateOptions> = {}) => validate(snapshot, { level: 'quick', ...changed });
    expect(await quick()).toEqual({
      verdict: 'success',
      filesChecked: 0,
      bytesChecked: 0,
      differing: [],
      errorCode: null,
      detail: null,
    });
    const { artifact_bytes, index_bytes } = snapshot.ref;
    const middle = Math.floor(artifact_bytes / 2);
    await damage(snapshot, snapshotFiles.artifact, middle);
    expect((await quick()).verdict).toBe('success');
    await damage(snapshot, snapshotFiles.artifact, middle);
    for (const [name, position] of [
      [snapshotFiles.artifact, 100],
      [snapshotFiles.artifact, artifact_bytes - 1],
      [snapshotFiles.index, 100],
      [snapshotFiles.index, index_bytes - 1],
    ] as const) {
      await damage(snapshot, name, position);
      expect([name, position, (await quick()).verdict]).toEqual([name, position, 'failed']);
      await damage(snapshot, name, position);
    }
    const ref = { ...snapshot.ref, manifest_sha256: '0'.repeat(64) };
    expect(await quick({ ref })).toMatchObject({ errorCode: 'ARTIFACT_CORRUPT' });
    await truncate(join(snapshot.directory, snapshotFiles.artifact), artifact_bytes - 1);
    expect(await quick()).toMatchObject({ errorCode: 'ARTIFACT_TRUNCATED' });
  });

  it('without a key compares what is stored', async () => {
    const snapshot = await makeSnapshot(folder.path, tree);
    const { artifact_bytes, index_bytes } = snapshot.ref;
    const bytesChecked = artifact_bytes + index_bytes;
    expect(await validate(snapshot, { identities: [] })).toMatchObject({ verdict: 'success', bytesChecked });
    await damage(snapshot, snapshotFiles.artifact, Math.floor(artifact_bytes / 2));
    expect(await validate(snapshot, { identities: [] })).toMatchObject({ errorCode: 'ARTIFACT_CORRUPT' });
  });

  it('stops at the signal, with its reason', async () => {
    const snapshot = await makeSnapshot(folder.path, tree);
    const reason = new Error('cancelled');
    for (const at of [1, 10, 18]) {
      const stop = new AbortController();
      let calls = 0;
      const onProgress = () => {
        calls += 1;
        if (calls === at) stop.abort(reason);
      };
      await expect(validate(snapshot, { signal: stop.signal, onProgress })).rejects.toBe(reason);
    }
  });
});
