import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { localPathIn } from '@xvault/shared/snapshots.ts';
import { type MariadbServer, startMariadb } from '@xvault/shared/testing/mariadb.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { makeWordpressSite } from '@xvault/shared/testing/wordpress-site.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type E2e, startE2e } from './fixture.ts';

let e2e: E2e;
let server: MariadbServer;
let sshd: TestSshd;
let storageDir: string;

beforeAll(async () => {
  [server, sshd] = await Promise.all([startMariadb(), startSshd()]);
  await server.sql('CREATE DATABASE `shop 1`; CREATE DATABASE other; CREATE TABLE other.t (n INT)');
  await server.sql(
    "CREATE TABLE t (id INT PRIMARY KEY, v LONGTEXT); INSERT INTO t VALUES (1, 'ä'), (2, REPEAT('x', 100000))",
    'shop 1',
  );
  storageDir = join(sshd.dataDir, '..', 'storage');
  e2e = await startE2e({ allowNetworks: ['127.0.0.0/8'], extraWorker: { XVAULT_STORAGE_DIR: storageDir } });
});
afterAll(async () => {
  await e2e.stop();
  await Promise.all([server.stop(), sshd.stop()]);
});

test('a MariaDB database goes from probe to backup to another name, and never over one that is there', async () => {
  const { customer } = e2e;
  const config = { host: '127.0.0.1', port: server.port, user: server.admin.user, exclude_databases: ['other'] };
  const sourceId = await customer.source({ type: 'mysql', config, secret: { password: server.admin.password } });
  const probe = await customer.post(`/api/v1/sources/${sourceId}/probe`, {});
  expect([probe.status, probe.error_code]).toEqual(['success', null]);
  const backup = await customer.backUp(await customer.job(sourceId));
  expect([backup.status, backup.error_code]).toEqual(['success', null]);
  const restore = (target: Record<string, unknown>, more = {}) =>
    customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, {
      paths: null,
      target: { type: 'database', ...target },
      ...more,
    });
  const taken = await restore({ databases: { 'shop 1': 'other' } });
  expect([taken.status, taken.error_code]).toEqual(['failed', 'DATABASE_EXISTS']);
  const tried = await restore({ databases: { 'shop 1': 'shop 2' } }, { dry_run: true });
  expect([tried.status, await server.sql("SHOW DATABASES LIKE 'shop%'")]).toEqual(['success', 'shop 1\n']);
  const restored = await restore({ databases: { 'shop 1': 'shop 2' } });
  expect([restored.status, restored.error_code]).toEqual(['success', null]);
  expect(await server.sql('CHECKSUM TABLE `shop 2`.t')).toBe(
    (await server.sql('CHECKSUM TABLE `shop 1`.t')).replace('1.t', '2.t'),
  );
  const said = JSON.stringify([await customer.events(backup.id), await customer.events(restored.id)]);
  expect(said).not.toContain('adm');
});

test('over SSH the key of the first connection test is pinned for a database, too', async () => {
  const { customer } = e2e;
  const ssh = { host: sshd.host, port: sshd.port, user: sshd.user.name };
  const config = { port: server.port, user: server.admin.user, databases: ['other'], via: 'ssh_remote', ssh };
  const secret = { password: server.admin.password, ssh: { private_key: sshd.privateKey } };
  const sourceId = await customer.source({ type: 'mysql', config, secret });
  const job = await customer.job(sourceId);
  expect((await customer.backUp(job)).error_code).toBe('SSH_HOST_KEY_UNKNOWN');
  expect((await customer.post(`/api/v1/sources/${sourceId}/probe`, {})).status).toBe('success');
  const backup = await customer.backUp(job);
  expect([backup.status, backup.error_code]).toEqual(['success', null]);
});

test('a WordPress site goes into one snapshot, and its manifest says what it was', async () => {
  const site = await makeWordpressSite(sshd, server, { name: 'blog' });
  const { customer } = e2e;
  const config = { host: sshd.host, port: sshd.port, user: sshd.user.name, path: site.path };
  const sourceId = await customer.source({ type: 'wordpress', config, secret: { private_key: sshd.privateKey } });
  expect((await customer.post(`/api/v1/sources/${sourceId}/probe`, {})).status).toBe('success');
  const backup = await customer.backUp(await customer.job(sourceId));
  expect([backup.status, backup.error_code]).toEqual(['success', null]);
  const snapshot = await customer.snapshot(backup.snapshot_id ?? '');
  const manifest: unknown = JSON.parse(
    await readFile(join(storageDir, localPathIn(snapshot.locator), 'manifest.json'), 'utf8'),
  );
  expect(manifest).toMatchObject({
    source: { wordpress_version: '6.7.1', table_prefix: 'blog_', site_url: 'https://shop.example', database: 'blog' },
  });
  const target = { type: 'directory', path: join(e2e.folder, 'site') };
  const restored = await customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, { paths: ['files'], target });
  expect(restored.status).toBe('success');
  expect(await readFile(join(target.path, 'files/wp-config.php'), 'utf8')).toBe(
    await readFile(join(site.path, 'wp-config.php'), 'utf8'),
  );
});
