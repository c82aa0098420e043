import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  type PendingSnapshot,
  type SnapshotFileName,
  type SnapshotPlace,
  type SnapshotStorage,
  type StoredItem,
  snapshotFiles,
} from './storage.ts';

/** One implementation under test; each test gets a fresh and empty one. */
export interface StorageUnderTest {
  readonly storage: SnapshotStorage;
  /** Whether two attempts may write the same snapshot side by side; where not, the second is refused at once. */
  readonly attemptsSideBySide: boolean;
  readonly close: () => Promise<void>;
}

const place: SnapshotPlace = { tenantId: 'tenant-1', sourceId: 'source_1', snapshotId: '0190-A' };

/** What every implementation of SnapshotStorage must do. */
export function describeSnapshotStorage(name: string, make: () => Promise<StorageUnderTest>): void {
  describe(`snapshot storage: ${name}`, () => {
    let under: StorageUnderTest;
    let storage: SnapshotStorage;
    beforeEach(async () => {
      under = await make();
      storage = under.storage;
    });
    afterEach(() => under.close());

    it('gives back what was written, in any pieces, from any place', async () => {
      const data = randomBytes(3_000_001);
      const pending = await storage.create(place, 1);
      const writer = await pending.createFile(snapshotFiles.artifact);
      for (const [from, to] of [
        [0, 0],
        [0, 1],
        [1, 70_000],
        [70_000, data.length],
      ] as const) {
        // The buffer may be reused after each write.
        const piece = Buffer.from(data.subarray(from, to));
        await writer.write(piece);
        piece.fill(0);
      }
      await writer.close();
      await writeText(pending, '{}', snapshotFiles.meta);
      await pending.commit();
      const reader = await storage.open(place, snapshotFiles.artifact);
      expect(reader.sizeBytes).toBe(data.length);
      expect((await reader.read(0, data.length)).equals(data)).toBe(true);
      expect((await reader.read(65_535, 2)).equals(data.subarray(65_535, 65_537))).toBe(true);
      expect((await reader.read(data.length - 1, 1)).equals(data.subarray(-1))).toBe(true);
      expect((await reader.read(data.length, 0)).length).toBe(0);
      await reader.close();
      await reader.close();
    });

    it('reads side by side', async () => {
      const data = await publish(storage, place, 1, 100_000);
      const reader = await storage.open(place, snapshotFiles.artifact);
      const reads = Array.from({ length: 50 }, (_, at) => reader.read(at * 2000, 2000));
      expect(Buffer.concat(await Promise.all(reads)).equals(data)).toBe(true);
      await reader.close();
    });

    it('reads from front to back in small pieces, and then anywhere again', async () => {
      const data = await publish(storage, place, 1, 20_000_000);
      const reader = await storage.open(place, snapshotFiles.artifact);
      const pieces: Buffer[] = [];
      for (let at = 0; at < data.length; at += 700_001) {
        pieces.push(Buffer.from(await reader.read(at, Math.min(700_001, data.length - at))));
      }
      expect(Buffer.concat(pieces).equals(data)).toBe(true);
      for (const at of [17_000_000, 5, 9_999_999]) {
        expect((await reader.read(at, 1000)).equals(data.subarray(at, at + 1000))).toBe(true);
      }
      await reader.close();
    });

    it('says ARTIFACT_TRUNCATED for a range that is not there', async () => {
      await publish(storage, place, 1, 10);
      const reader = await storage.open(place, snapshotFiles.artifact);
      for (const [offset, length] of [
        [0, 11],
        [10, 1],
        [5, 2 ** 40],
        [-1, 1],
      ] as const) {
        await expect(reader.read(offset, length)).rejects.toMatchObject({ code: 'ARTIFACT_TRUNCATED' });
      }
      await reader.close();
    });

    it('says ARTIFACT_MISSING for a snapshot or a file that is not there', async () => {
      const missing = { code: 'ARTIFACT_MISSING' };
      await expect(storage.open(place, snapshotFiles.artifact)).rejects.toMatchObject(missing);
      await publish(storage, place, 1, 10);
      await expect(storage.open(place, snapshotFiles.index)).rejects.toMatchObject(missing);
    });

    it('shows nothing before the commit, and all after it', async () => {
      const pending = await storage.create(place, 7);
      for (const file of Object.values(snapshotFiles)) {
        const writer = await pending.createFile(file);
        await writer.write(Buffer.from(file));
        await writer.close();
      }
      await expect(storage.open(place, snapshotFiles.meta)).rejects.toMatchObject({ code: 'ARTIFACT_MISSING' });
      expect(await items(storage)).toEqual([{ place, epoch: 7 }]);
      await pending.commit();
      for (const file of Object.values(snapshotFiles)) expect(await content(storage, place, file)).toBe(file);
      expect(await items(storage)).toEqual([{ place, epoch: null }]);
      await pending.abort();
      expect(await content(storage, place, snapshotFiles.meta)).toBe(snapshotFiles.meta);
    });

    it('refuses to commit a file that was not closed', async () => {
      const pending = await storage.create(place, 1);
      await (await pending.createFile(snapshotFiles.artifact)).write(Buffer.from('half'));
      await expect(pending.commit()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await pending.abort();
      expect(await items(storage)).toEqual([]);
    });

    it('aborts at any time, as often as one likes', async () => {
      const pending = await storage.create(place, 1);
      const closed = await pending.createFile(snapshotFiles.artifact);
      await closed.write(Buffer.alloc(1000));
      await closed.close();
      await (await pending.createFile(snapshotFiles.index)).write(Buffer.alloc(1000));
      await pending.abort();
      await pending.abort();
      expect(await items(storage)).toEqual([]);
      await expect(pending.createFile(snapshotFiles.meta)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await expect(pending.commit()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await publish(storage, place, 1, 5);
    });

    it('keeps attempts apart and lets only one publish', async () => {
      const older = await storage.create(place, 1);
      await writeText(older, 'older');
      await writeText(older, '{}', snapshotFiles.meta);
      if (under.attemptsSideBySide) {
        await publishText(await storage.create(place, 2), 'newer');
        await expect(older.commit()).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
        await older.abort();
        expect(await content(storage, place, snapshotFiles.artifact)).toBe('newer');
      } else {
        await expect(storage.create(place, 2)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
        await older.commit();
        expect(await content(storage, place, snapshotFiles.artifact)).toBe('older');
      }
      await expect(storage.create(place, 3)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      expect(await items(storage)).toEqual([{ place, epoch: null }]);
    });

    it('gives no epoch to two writers', async () => {
      const pending = await storage.create(place, 1);
      await expect(storage.create(place, 1)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      await pending.abort();
    });

    it('deletes snapshots and parts, and what is not there', async () => {
      await storage.delete(place);
      await storage.deletePart(place, 4);
      const part = await storage.create({ ...place, snapshotId: 'other' }, 4);
      await writeText(part, 'left by a killed worker');
      await publish(storage, place, 1, 10);
      await storage.delete(place);
      await storage.delete(place);
      expect(await items(storage)).toEqual([{ place: { ...place, snapshotId: 'other' }, epoch: 4 }]);
      await storage.deletePart({ ...place, snapshotId: 'other' }, 4);
      expect(await items(storage)).toEqual([]);
      await publish(storage, place, 2, 10);
      await part.abort();
    });

    it('lists the snapshots of all tenants and sources', async () => {
      const places = ['t1/s1/a', 't1/s1/b', 't1/s2/a', 't2/s1/a'].map((text) => {
        const [tenantId = '', sourceId = '', snapshotId = ''] = text.split('/');
        return { tenantId, sourceId, snapshotId };
      });
      await Promise.all(places.map((each) => publish(storage, each, 1, 1)));
      expect((await items(storage)).map(({ place: each }) => each)).toEqual(places);
    });

    it('takes nothing but ids into a path', async () => {
      for (const bad of ['', '.', '..', 'a/b', 'a.part-1', 'a\0', 'ä', 'a b']) {
        for (const key of ['tenantId', 'sourceId', 'snapshotId'] as const) {
          await expect(storage.create({ ...place, [key]: bad }, 1)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
        }
      }
      for (const epoch of [-1, 0, 1.5, Number.NaN]) {
        await expect(storage.create(place, epoch)).rejects.toMatchObject({ code: 'STORAGE_FAILED' });
      }
    });

    it('knows its space', async () => {
      const { freeBytes, totalBytes } = await storage.space();
      expect(freeBytes).toBeGreaterThan(0);
      expect(totalBytes).toBeGreaterThanOrEqual(freeBytes);
    });
  });
}

async function writeText(
  pending: PendingSnapshot,
  text: string,
  name: SnapshotFileName = snapshotFiles.artifact,
): Promise<void> {
  const writer = await pending.createFile(name);
  await writer.write(Buffer.from(text));
  await writer.close();
}

async function publishText(pending: PendingSnapshot, text: string): Promise<void> {
  await writeText(pending, text);
  await writeText(pending, '{}', snapshotFiles.meta);
  await pending.commit();
}

async function publish(storage: SnapshotStorage, at: SnapshotPlace, epoch: number, sizeBytes: number): Promise<Buffer> {
  const data = randomBytes(sizeBytes);
  const pending = await storage.create(at, epoch);
  const writer = await pending.createFile(snapshotFiles.artifact);
  await writer.write(data);
  await writer.close();
  await writeText(pending, '{}', snapshotFiles.meta);
  await pending.commit();
  return data;
}

async function content(
  storage: SnapshotStorage,
  at: SnapshotPlace,
  name: Parameters<SnapshotStorage['open']>[1],
): Promise<string> {
  const reader = await storage.open(at, name);
  try {
    return (await reader.read(0, reader.sizeBytes)).toString();
  } finally {
    await reader.close();
  }
}

async function items(storage: SnapshotStorage): Promise<StoredItem[]> {
  const found: StoredItem[] = [];
  for await (const item of storage.list()) found.push(item);
  const key = ({ place: at, epoch }: StoredItem) =>
    `${at.tenantId}/${at.sourceId}/${at.snapshotId}/${epoch === null ? '' : epoch}`;
  return found.sort((a, b) => (key(a) < key(b) ? -1 : 1));
}
