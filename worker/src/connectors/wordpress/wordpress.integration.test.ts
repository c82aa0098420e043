import { mkdir, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type MariadbServer, startMariadb } from '@xvault/shared/testing/mariadb.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { makeWordpressSite, type WordpressSite } from '@xvault/shared/testing/wordpress-site.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loopbackGuard, makeShelf, never, restoreInto, type Shelf } from '../database/database.test-kit.ts';
import { contentOf, secretOf, sourceOn } from '../mysql/mysql.test-kit.ts';
import { createWordpressConnector } from './connector.ts';

const connector = createWordpressConnector({ guard: loopbackGuard });
let sshd: TestSshd;
let server: MariadbServer;
let shelf: Shelf;
let site: WordpressSite;

beforeAll(async () => {
  [sshd, server, shelf] = await Promise.all([startSshd(), startMariadb(), makeShelf()]);
  site = await makeWordpressSite(sshd, server, { name: 'shop site' });
});
afterAll(async () => {
  await shelf.remove();
  await Promise.all([server.stop(), sshd.stop()]);
});

function target(path: string, exclude_caches = true) {
  const { host, port, user } = sshd;
  return { host, port, user: user.name, jump: null, path, exclude_caches, host_key: sshd.fingerprint() };
}
const secret = () => ({ private_key: sshd.privateKey });

async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true });
  return found
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort();
}

test('a probe tells what is installed', async () => {
  const found = await connector.probe({ ...target(site.path), host_key: null }, secret(), never);
  expect(found.hostKey).toBe(sshd.fingerprint());
  expect(found.entryNames).toContain('wp-config.php');
  expect(found.details).toMatchObject({
    wordpress_version: '6.7.1',
    table_prefix: 'blog_',
    site_url: 'https://shop.example',
    database: 'shop site',
    config_read_by: 'tokenizer',
    database_without: null,
  });
});

test('files and database are in one snapshot, without the caches, and the database restores equal', async () => {
  const session = await connector.connect(target(site.path), secret(), never);
  const reader = await shelf.backUp(session);
  expect(shelf.warnings).toEqual([]);
  expect(session.describe?.()).toMatchObject({ table_prefix: 'blog_', site_url: 'https://shop.example' });
  const unpacked = await shelf.unpack();
  expect(await filesBelow(unpacked)).toEqual([
    'databases/shop%20site/database.json',
    'databases/shop%20site/dump.sql.000001',
    'files/index.php',
    'files/wp-config.php',
    'files/wp-content/plugins/shop/cache/keep.txt',
    'files/wp-content/plugins/shop/shop.php',
    'files/wp-content/uploads/2026/11/bild ü.txt',
    'files/wp-includes/version.php',
    'files/wp-load.php',
    'files/wp-settings.php',
  ]);
  const config = await readFile(join(unpacked, 'files/wp-config.php'), 'utf8');
  expect(config).toBe(await readFile(join(site.path, 'wp-config.php'), 'utf8'));
  await restoreInto({
    reader,
    source: sourceOn(server),
    secret: secretOf(server),
    databases: { 'shop site': 'shop copy' },
  });
  expect(await contentOf(server, 'shop copy')).toBe(await contentOf(server, 'shop site'));
});

test('caches and backups of plugins are taken when wanted', async () => {
  await shelf.backUp(await connector.connect(target(site.path, false), secret(), never));
  const files = await filesBelow(await shelf.unpack());
  expect(files).toEqual(
    expect.arrayContaining(['files/wp-content/cache/page.html', 'files/wp-content/updraft/backup.zip']),
  );
});

test('a configuration one directory up is found and kept, a socket is understood', async () => {
  const above = await makeWordpressSite(sshd, server, {
    name: 'above',
    config: 'parent',
    dbHost: `localhost:${server.socket}`,
  });
  await server.sql(
    "CREATE OR REPLACE USER 'above'@'%' IDENTIFIED BY 'p\"ass \\\\#''w'; GRANT ALL ON above.* TO 'above'@'%'",
  );
  await shelf.backUp(await connector.connect(target(above.path), secret(), never));
  const files = await filesBelow(await shelf.unpack());
  expect(files).toEqual(
    expect.arrayContaining(['wp-config.php', 'files/index.php', 'databases/above/dump.sql.000001']),
  );
});

test("a site's user without triggers and events is enough, and it is said", async () => {
  const grants = 'SELECT, INSERT, UPDATE, DELETE, SHOW VIEW';
  const small = await makeWordpressSite(sshd, server, { name: 'small', grants });
  const found = await connector.probe(target(small.path), secret(), never);
  expect(found.details).toMatchObject({ database_without: 'TRIGGER, EVENT' });
  const reader = await shelf.backUp(await connector.connect(target(small.path), secret(), never));
  await restoreInto({ reader, source: sourceOn(server), secret: secretOf(server), databases: { small: 'small copy' } });
  expect(await contentOf(server, 'small copy')).toBe(await contentOf(server, 'small'));
});

test('what is wrong is told', async () => {
  await mkdir(join(sshd.dataDir, 'empty'));
  const nothing = target(join(sshd.dataDir, 'empty'));
  await expect(connector.probe(nothing, secret(), never)).rejects.toMatchObject({ code: 'WORDPRESS_NOT_FOUND' });
  const computed = await makeWordpressSite(sshd, server, { name: 'computed', passwordCode: "getenv('DB_PASSWORD')" });
  await expect(connector.connect(target(computed.path), secret(), never)).rejects.toMatchObject({
    code: 'WORDPRESS_CONFIG_UNREADABLE',
    params: { setting: 'DB_PASSWORD' },
  });
  const wrong = await makeWordpressSite(sshd, server, { name: 'wrong', passwordCode: "'wrong'" });
  await expect(connector.connect(target(wrong.path), secret(), never)).rejects.toMatchObject({
    code: 'SOURCE_AUTH_FAILED',
  });
});
