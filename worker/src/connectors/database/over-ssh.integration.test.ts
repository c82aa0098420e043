import { readFile } from 'node:fs/promises';
import { type MariadbServer, startMariadb } from '@xvault/shared/testing/mariadb.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest';
import * as mysql from '../mysql/mysql.test-kit.ts';
import * as postgres from '../postgres/postgres.test-kit.ts';
import { makeShelf, restoreInto, type Shelf } from './database.test-kit.ts';

let sshd: TestSshd;
let maria: MariadbServer;
let shelf: Shelf;

beforeAll(async () => {
  [sshd, maria, shelf] = await Promise.all([startSshd(), startMariadb(), makeShelf()]);
  await mysql.makeDatabase(maria, mysql.awkwardName);
});
afterAll(async () => {
  await shelf.remove();
  await Promise.all([maria.stop(), sshd.stop()]);
});

const ways = ['ssh_tunnel', 'ssh_remote'] as const;
const over = (via: string) => ({ via, ssh: { host: sshd.host, port: sshd.port, user: sshd.user.name } });
const ssh = () => ({ ssh: { private_key: sshd.privateKey } });

describe.each(ways)('MariaDB by %s', (via) => {
  const secret = () => ({ ...mysql.secretOf(maria), ...ssh() });

  test('is probed, backed up and restored to', async () => {
    const found = await mysql.probe(mysql.sourceOn(maria, over(via)), secret());
    expect(found.hostKey).toBe(sshd.fingerprint());
    expect(found.entryNames).toContain(mysql.awkwardName);
    const source = mysql.sourceOn(maria, { ...over(via), databases: [mysql.awkwardName] }, sshd.fingerprint());
    const reader = await shelf.backUp(await mysql.connect(source, secret()));
    await restoreInto({ reader, source, secret: secret(), databases: { [mysql.awkwardName]: `copy '${via}'` } });
    expect(await mysql.contentOf(maria, `copy '${via}'`)).toBe(await mysql.contentOf(maria, mysql.awkwardName));
  });

  test('tells a wrong password, a missing database, an unknown and a wrong host key', async () => {
    const source = mysql.sourceOn(maria, { ...over(via), databases: ['not there'] }, sshd.fingerprint());
    await expect(mysql.connect(source, secret())).rejects.toMatchObject({ code: 'DATABASE_NOT_FOUND' });
    const wrong = { password: 'wrong', ...ssh() };
    await expect(mysql.connect(source, wrong)).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
    const unpinned = { ...source, host_key: null };
    await expect(mysql.connect(unpinned, secret())).rejects.toMatchObject({ code: 'SSH_HOST_KEY_UNKNOWN' });
    const nobody = { ...mysql.secretOf(maria), ssh: { password: 'wrong' } };
    await expect(mysql.connect(source, nobody)).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
  });
});

describe.each(ways)('PostgreSQL by %s', (via) => {
  const secret = () => ({ ...postgres.secret, ...ssh() });

  test('is probed, backed up and restored to', async () => {
    const url = inject('postgresUrl');
    const [name, copy] = [`${postgres.awkwardName} ${via}`, `copy 'of' ${via}`];
    try {
      await postgres.makeDatabase(url, name);
      const source = postgres.sourceOn(url, { ...over(via), databases: [name] }, sshd.fingerprint());
      expect((await postgres.probe({ ...source, host_key: null }, secret())).hostKey).toBe(sshd.fingerprint());
      const reader = await shelf.backUp(await postgres.connect(source, secret()));
      await restoreInto({ reader, source, secret: secret(), databases: { [name]: copy } });
      expect(await postgres.contentOf(url, copy)).toBe(await postgres.contentOf(url, name));
    } finally {
      await postgres.dropDatabases(url, [name, copy]);
    }
  });
});

test('on the far side the password is in no argument, no environment and no file that stays', async () => {
  await maria.sql('CREATE DATABASE large; CREATE TABLE large.t (b LONGBLOB)');
  for (let i = 0; i < 6; i += 1) await maria.sql('INSERT INTO large.t VALUES (REPEAT(0x00ff11, 8000000))');
  const before = await run('sh', ['-c', 'ls -A /dev/shm /tmp | grep "^.xvault" || true']);
  const source = mysql.sourceOn(maria, { ...over('ssh_remote'), databases: ['large'] }, sshd.fingerprint());
  const session = await mysql.connect(source, { ...mysql.secretOf(maria), ...ssh() });
  const seen: string[] = [];
  await shelf.backUp({
    ...session,
    async *list(options) {
      for await (const item of session.list(options)) {
        yield item;
        if (!item.path.toString().endsWith('000001')) continue;
        for (const pid of (await run('pgrep', ['-u', sshd.user.name])).trim().split('\n')) {
          for (const name of ['cmdline', 'environ']) {
            seen.push(await readFile(`/proc/${pid}/${name}`, 'latin1').catch(() => ''));
          }
        }
        expect(await run('sh', ['-c', 'ls -A /dev/shm /tmp | grep "^.xvault" || true'])).toBe(before);
      }
    },
  });
  expect(seen.join('\n')).toContain('--defaults-file=/dev/fd/3');
  expect(seen.join('\n')).not.toContain('adm"in');
});

test('a connection that breaks during a dump fails the backup and leaves nothing', async () => {
  const stored = await shelf.stored();
  for (const via of ways) {
    const source = mysql.sourceOn(maria, { ...over(via), databases: ['large'] }, sshd.fingerprint());
    const session = await mysql.connect(source, { ...mysql.secretOf(maria), ...ssh() });
    const failed = shelf.backUp({
      ...session,
      async *list(options) {
        for await (const item of session.list(options)) {
          yield item;
          if (item.path.toString().endsWith('000001')) sshd.signalSessions('SIGKILL');
        }
      },
    });
    await expect(failed).rejects.toMatchObject({ code: expect.stringMatching(/^(SOURCE_LOST|DATABASE_DUMP_FAILED)$/) });
    expect(await shelf.stored()).toEqual(stored);
  }
});
