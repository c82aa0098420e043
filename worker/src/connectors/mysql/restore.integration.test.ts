import { existsSync } from 'node:fs';
import { type MariadbServer, startMariadb } from '@xvault/shared/testing/mariadb.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { makeShelf, type RestoreInto, restoreInto, type Shelf } from '../database/database.test-kit.ts';
import { connect, contentOf, makeDatabase, secretOf, sourceOn } from './mysql.test-kit.ts';

let server: MariadbServer;
let shelf: Shelf;
let reader: ArtifactReader;

beforeAll(async () => {
  [server, shelf] = await Promise.all([startMariadb(), makeShelf()]);
  await makeDatabase(server, 'one');
  await makeDatabase(server, 'two');
  reader = await shelf.backUp(await connect(sourceOn(server), secretOf(server)));
});
afterAll(async () => {
  await shelf.remove();
  await server.stop();
});

function restore(options: Partial<RestoreInto>) {
  return restoreInto({ reader, source: sourceOn(server), secret: secretOf(server), ...options });
}

async function databases(): Promise<string[]> {
  return (await server.sql('SHOW DATABASES'))
    .trim()
    .split('\n')
    .filter((name) => !/schema|^mysql$|^sys$/.test(name));
}

test('a database that is there is not touched unless told, and nothing else is written either', async () => {
  const before = await databases();
  await expect(restore({ databases: { one: 'fresh', two: 'two' } })).rejects.toMatchObject({
    code: 'DATABASE_EXISTS',
    params: { database: 'two' },
  });
  expect(await databases()).toEqual(before);
});

test('a dry run tells what would be and does nothing', async () => {
  const before = await databases();
  const told = await restore({ databases: { one: 'fresh', two: 'two' }, overwrite: true, dryRun: true });
  expect(told.changes.map(({ path, action }) => [path, action])).toEqual([
    ['fresh', 'create'],
    ['two', 'overwrite'],
  ]);
  expect(await databases()).toEqual(before);
});

test('told so, a restore replaces a database: what was in it besides is gone', async () => {
  const wanted = await contentOf(server, 'one');
  await server.sql('DROP TABLE child; CREATE TABLE newer (n INT); DELETE FROM latin', 'one');
  await restore({ paths: ['databases/one'], overwrite: true });
  expect(await contentOf(server, 'one')).toBe(wanted);
});

test('an empty database that is there is filled', async () => {
  await server.sql('CREATE DATABASE prepared CHARACTER SET utf8mb4 COLLATE utf8mb4_spanish_ci');
  await restore({ databases: { two: 'prepared' } });
  expect(await contentOf(server, 'prepared')).toBe(await contentOf(server, 'two'));
});

test('what an attempt of the same run left is replaced, what another run left is not', async () => {
  const left = 'CREATE TABLE xvault_restore_in_progress (run_id VARCHAR(255)); CREATE TABLE half (n INT);';
  await server.sql('CREATE DATABASE half_done');
  await server.sql(`${left} INSERT INTO xvault_restore_in_progress VALUES ('this run')`, 'half_done');
  await expect(restore({ databases: { one: 'half_done' }, runId: 'other run' })).rejects.toMatchObject({
    code: 'DATABASE_EXISTS',
  });
  await restore({ databases: { one: 'half_done' }, runId: 'this run' });
  expect(await contentOf(server, 'half_done')).toBe(await contentOf(server, 'one'));
});

test('a restore that the server refuses says how far it came and removes what it made', async () => {
  await server.sql(
    "CREATE OR REPLACE USER maker IDENTIFIED BY 'm'; GRANT CREATE, DROP, INSERT, SELECT ON `m\\_%`.* TO maker",
  );
  const source = sourceOn(server, { user: 'maker' });
  const failed = restore({ databases: { one: 'm_one' }, source, secret: { password: 'm' } });
  await expect(failed).rejects.toMatchObject({
    code: 'DATABASE_RESTORE_FAILED',
    params: { database: 'm_one', restored: 0, total: 1 },
  });
  expect(await databases()).not.toContain('m_one');
});

test('a damaged part ends the restore before the client takes it for whole', async () => {
  const damaged: Pick<ArtifactReader, 'entries' | 'readTar'> = {
    entries: (signal) => reader.entries(signal),
    async *readTar(offset, length, signal) {
      for await (const piece of reader.readTar(offset, length, signal)) {
        const copy = Buffer.from(piece);
        if (copy.includes('CREATE TABLE')) copy[copy.length - 2] = (copy[copy.length - 2] ?? 0) ^ 1;
        yield copy;
      }
    },
  };
  const failed = restore({ reader: damaged as ArtifactReader, databases: { one: 'damaged' } });
  await expect(failed).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  expect(await databases()).not.toContain('damaged');
});

test('cancelled, a restore leaves no database behind', async () => {
  const stop = new AbortController();
  let reports = 0;
  const onProgress = () => {
    reports += 1;
    // The first comes before anything is made.
    if (reports === 2) stop.abort(new Error('cancelled'));
  };
  await expect(restore({ databases: { one: 'cancelled' }, signal: stop.signal, onProgress })).rejects.toThrow(
    'cancelled',
  );
  expect(await databases()).not.toContain('cancelled');
});

test.each([
  [{ paths: ['databases/three'] }, 'RESTORE_PATH_NOT_FOUND'],
  [{ databases: { three: 'x' } }, 'RESTORE_PATH_NOT_FOUND'],
  [{ databases: { one: 'x', two: 'x' } }, 'RESTORE_TARGET_INVALID'],
])('%o is refused', async (options, code) => {
  await expect(restore(options)).rejects.toMatchObject({ code });
});

test('a dump that carries commands of the client runs none of them', async () => {
  const session = await connect(sourceOn(server, { databases: ['one'] }), secretOf(server));
  const file = `${shelf.folder}/written by the dump`;
  const forged = await shelf.backUp({
    ...session,
    async readMany(entries, signal) {
      const results = await session.readMany(entries, signal);
      return results.map((result, at) => {
        const path = entries[at]?.path.toString() ?? '';
        if (!result.ok || !path.includes('dump.sql')) return result;
        const data = Buffer.from(`\\! touch '${file}'\nsystem touch '${file}'\nCREATE TABLE t (n INT);\n`);
        return { ...result, data, entry: { ...result.entry, sizeBytes: data.length }, sha256: undefined } as never;
      });
    },
  });
  await expect(restore({ reader: forged, databases: { one: 'forged' } })).rejects.toMatchObject({
    code: 'DATABASE_RESTORE_FAILED',
  });
  expect(existsSync(file)).toBe(false);
});
