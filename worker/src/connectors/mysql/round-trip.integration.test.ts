import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type MariadbServer, startMariadb } from '@xvault/shared/testing/mariadb.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeShelf, restoreInto, type Shelf } from '../database/database.test-kit.ts';
import { partBytes } from '../database/entry-names.ts';
import { awkwardName, connect, contentOf, makeDatabase, probe, secretOf, sourceOn } from './mysql.test-kit.ts';

const run = promisify(execFile);
let server: MariadbServer;
let shelf: Shelf;

beforeAll(async () => {
  [server, shelf] = await Promise.all([startMariadb(), makeShelf()]);
  await makeDatabase(server, awkwardName);
  await makeDatabase(server, 'plain');
  await server.sql('CREATE DATABASE `empty one`');
});
afterAll(async () => {
  await shelf.remove();
  await server.stop();
});

test('a probe tells the version, the databases and their size', async () => {
  const found = await probe(sourceOn(server), secretOf(server));
  expect(found.server).toMatch(/MariaDB/);
  expect(found.entryNames.toSorted()).toEqual([awkwardName, 'empty one', 'plain'].toSorted());
  expect(found.measure).toMatchObject({ fileCount: 3, complete: true });
  expect(found.details).toMatchObject({ engine: 'mariadb', tls: false, tables_without_transactions: 0 });
});

test('all databases but the excluded, whatever their names, come back equal under other names', async () => {
  const session = await connect(sourceOn(server, { exclude_databases: ['plain'] }), secretOf(server));
  const reader = await shelf.backUp(session);
  const databases = { [awkwardName]: 'second "name"', 'empty one': 'empty two' };
  const restored = await restoreInto({ reader, source: sourceOn(server), secret: secretOf(server), databases });
  expect(restored.fileCount).toBe(2);
  expect(await contentOf(server, 'second "name"')).toBe(await contentOf(server, awkwardName));
  expect(await contentOf(server, 'empty two')).toBe(await contentOf(server, 'empty one'));
  expect(await server.sql('SHOW TABLES', 'second "name"')).not.toContain('xvault');
});

test('a dump in many parts restores by hand with age, zstd, tar, cat and the client', async () => {
  await server.sql('CREATE DATABASE big');
  await server.sql(
    'CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB); INSERT INTO t (b) VALUES (REPEAT(0x00ff, 500000))',
    'big',
  );
  for (let i = 0; i < 4; i += 1) await server.sql('INSERT INTO t (b) SELECT CONCAT(b, id) FROM t', 'big');
  await shelf.backUp(await connect(sourceOn(server, { databases: ['big'] }), secretOf(server)));
  const folder = join(await shelf.unpack(), 'databases', 'big');
  const names = (await readdir(folder)).sort();
  expect(names.length).toBeGreaterThan(4);
  expect(names.slice(0, 3)).toEqual(['database.json', 'dump.sql.000001', 'dump.sql.000002']);
  expect((await readFile(join(folder, 'dump.sql.000001'))).length).toBe(partBytes);
  expect(JSON.parse(await readFile(join(folder, 'database.json'), 'utf8'))).toMatchObject({
    name: 'big',
    engine: 'mariadb',
  });
  await server.sql('CREATE DATABASE by_hand');
  const script =
    'set -o pipefail; cat "$1"/dump.* | mariadb --no-defaults --socket="$2" -uadmin --password="$3" by_hand';
  await run('bash', ['-c', script, 'bash', folder, server.socket, server.admin.password]);
  expect(await server.sql('CHECKSUM TABLE by_hand.t EXTENDED')).toBe(
    (await server.sql('CHECKSUM TABLE big.t EXTENDED')).replace('big.t', 'by_hand.t'),
  );
});

test('under a new name a restore leaves the old database as it is, although the dump names it', async () => {
  await server.sql('CREATE DATABASE mixed CHARACTER SET latin1');
  await server.sql('CREATE PROCEDURE p() SELECT 1', 'mixed');
  await server.sql('ALTER DATABASE mixed CHARACTER SET utf8mb4 COLLATE utf8mb4_bin');
  const reader = await shelf.backUp(await connect(sourceOn(server, { databases: ['mixed'] }), secretOf(server)));
  const before = await contentOf(server, 'mixed');
  await server.sql('DROP DATABASE mixed');
  const databases = { mixed: 'mixed copy' };
  await restoreInto({ reader, source: sourceOn(server), secret: secretOf(server), databases });
  expect(await contentOf(server, 'mixed copy')).toBe(before);
});

test('what is written while a dump goes on is not in it: all tables are of one moment', async () => {
  await server.sql(
    'CREATE DATABASE moving; CREATE TABLE moving.a (n INT); CREATE TABLE moving.pad (b LONGBLOB); CREATE TABLE moving.z (n INT)',
  );
  await server.sql(
    'INSERT INTO moving.pad VALUES (REPEAT("x", 20000000)), (REPEAT("x", 20000000)); INSERT INTO moving.a VALUES (1); INSERT INTO moving.z VALUES (1)',
  );
  const session = await connect(sourceOn(server, { databases: ['moving'] }), secretOf(server));
  const wrapped = {
    ...session,
    async *list(options: Parameters<typeof session.list>[0]) {
      let told = false;
      for await (const item of session.list(options)) {
        // The first part is full, so the transaction is open.
        if (!told && item.path.toString().endsWith('000001')) {
          told = true;
          await server.sql('INSERT INTO moving.a VALUES (2); INSERT INTO moving.z VALUES (2)');
        }
        yield item;
      }
    },
  };
  const reader = await shelf.backUp(wrapped);
  await restoreInto({ reader, source: sourceOn(server), secret: secretOf(server), databases: { moving: 'moved' } });
  expect((await server.sql('SELECT COUNT(*) FROM moved.a; SELECT COUNT(*) FROM moved.z')).trim()).toBe('1\n1');
});

test('a database that goes between looking up and dumping is a warning, the others are there', async () => {
  await server.sql('CREATE DATABASE going; CREATE TABLE going.t (n INT)');
  const session = await connect(sourceOn(server, { exclude_databases: ['big', 'moving'] }), secretOf(server));
  await server.sql('DROP DATABASE going');
  const reader = await shelf.backUp(session);
  expect(shelf.warnings).toEqual(['ITEM_VANISHED databases/going']);
  const restored = await restoreInto({
    reader,
    source: sourceOn(server),
    secret: secretOf(server),
    databases: { plain: 'plain again' },
  });
  expect(restored.changes).toMatchObject([{ path: 'plain again', action: 'create', type: 'database' }]);
  expect(await contentOf(server, 'plain again')).toBe(await contentOf(server, 'plain'));
  expect(await server.sql(`SHOW DATABASES LIKE ${"'going'"}`)).toBe('');
});
