import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { type MariadbServer, startMariadb } from '@xvault/shared/testing/mariadb.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loopbackGuard, makeCertificates, makeShelf, never, type Shelf } from '../database/database.test-kit.ts';
import { createMysqlConnector } from './connector.ts';
import { connect, makeDatabase, probe, secretOf, sourceOn } from './mysql.test-kit.ts';

let server: MariadbServer;
let secured: MariadbServer;
let shelf: Shelf;
let folder: string;
let ca: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xvault-certs-'));
  const files = await makeCertificates(folder, 'localhost');
  await run('chmod', ['-R', 'a+rX', folder]);
  ca = await readFile(files.ca, 'utf8');
  const tls = { 'ssl-ca': files.ca, 'ssl-cert': files.certificate, 'ssl-key': files.key };
  [server, secured, shelf] = await Promise.all([startMariadb(), startMariadb({ settings: tls }), makeShelf()]);
  await makeDatabase(server, 'shop');
  await makeDatabase(secured, 'shop');
  await server.sql("CREATE USER reader IDENTIFIED BY 'r'; GRANT SELECT, SHOW VIEW ON shop.* TO reader");
  await server.sql(
    "CREATE USER column_reader IDENTIFIED BY 'r'; GRANT SELECT (name) ON shop.top_names TO column_reader",
  );
});
afterAll(async () => {
  await shelf.remove();
  await Promise.all([server.stop(), secured.stop()]);
  await rm(folder, { recursive: true, force: true });
});

describe('what is wrong with the login or the selection is told by probe and backup alike', () => {
  test.each<[string, Record<string, unknown>, string | undefined, string]>([
    ['a wrong password', {}, 'wrong', 'SOURCE_AUTH_FAILED'],
    ['an unknown user', { user: 'nobody at all' }, 'wrong', 'SOURCE_AUTH_FAILED'],
    ['a missing database', { databases: ['shop', 'shöp2'] }, undefined, 'DATABASE_NOT_FOUND'],
    ['a user whose dump would lack triggers', { user: 'reader' }, 'r', 'DATABASE_PERMISSION'],
    ['a user with a column alone', { user: 'column_reader', databases: ['shop'] }, 'r', 'DATABASE_PERMISSION'],
    ['TLS that the server does not have', { tls: 'required' }, undefined, 'SOURCE_TLS_FAILED'],
    ['an address that is not allowed', { host: '10.11.12.13' }, undefined, 'SOURCE_ADDRESS_FORBIDDEN'],
    ['a host without a name', { host: 'no-such-host.invalid' }, undefined, 'SOURCE_HOST_UNKNOWN'],
  ])('%s', async (_name, config, password, code) => {
    const [source, secret] = [sourceOn(server, config), { password: password ?? server.admin.password }];
    await expect(probe(source, secret)).rejects.toMatchObject({ code });
    await expect(connect(source, secret)).rejects.toMatchObject({ code });
  });

  test('a port where nobody listens', async () => {
    const source = sourceOn(server, { port: await freePort() });
    await expect(probe(source, secretOf(server))).rejects.toMatchObject({ code: 'SOURCE_CONNECTION_REFUSED' });
  });
});

describe('TLS', () => {
  test.each([
    ['preferred', {}],
    ['required', { tls: 'required' }],
    ['verify_ca', { tls: 'verify_ca', host: '127.0.0.1' }],
    ['verify_full', { tls: 'verify_full', host: 'localhost' }],
  ])('%s is used by probe and dump', async (_mode, config) => {
    await secured.sql(
      "CREATE OR REPLACE USER only_tls IDENTIFIED BY 'pa ss' REQUIRE SSL; GRANT ALL ON *.* TO only_tls",
    );
    const source = sourceOn(secured, { ...config, ca_pem: ca, user: 'only_tls', databases: ['shop'] });
    expect((await probe(source, { password: 'pa ss' })).details).toMatchObject({ tls: true });
    const reader = await shelf.backUp(await connect(source, { password: 'pa ss' }));
    expect(reader.tarBytes).toBeGreaterThan(5000);
  });

  test.each([
    ['an authority that nobody knows', { tls: 'verify_ca', host: 'localhost' }],
    ['another name', { tls: 'verify_full', host: '127.0.0.1', with_ca: true }],
  ])('%s is refused before the password is sent', async (_name, { with_ca, ...config }: Record<string, unknown>) => {
    const source = sourceOn(secured, { ...config, ...(with_ca === true ? { ca_pem: ca } : {}) });
    await expect(probe(source, secretOf(secured))).rejects.toMatchObject({ code: 'SOURCE_TLS_FAILED' });
  });
});

describe('a dump that ends too soon fails the backup and leaves nothing', () => {
  beforeAll(async () => {
    await server.sql('CREATE DATABASE large; CREATE TABLE large.t (b LONGBLOB)');
    for (let i = 0; i < 8; i += 1) await server.sql('INSERT INTO large.t VALUES (REPEAT(0x00ff11, 8000000))');
  });

  async function interrupted(interrupt: () => Promise<unknown>) {
    const stored = await shelf.stored();
    const session = await connect(sourceOn(server, { databases: ['large'] }), secretOf(server));
    const wrapped = {
      ...session,
      async *list(options: Parameters<typeof session.list>[0]) {
        for await (const item of session.list(options)) {
          yield item;
          if (item.path.toString().endsWith('000002')) await interrupt();
        }
      },
    };
    const failure: unknown = await shelf.backUp(wrapped).catch((error: unknown) => error);
    expect(await shelf.stored()).toEqual(stored);
    return failure;
  }

  test('because the server ends its connection', async () => {
    const kill = async () => {
      const ids = await server.sql("SELECT id FROM information_schema.processlist WHERE db = 'large'");
      expect(ids).not.toBe('');
      for (const id of ids.trim().split('\n')) await server.sql(`KILL ${id}`);
    };
    expect(await interrupted(kill)).toMatchObject({ code: 'DATABASE_DUMP_FAILED' });
  });

  test('because the program is killed', async () => {
    const kill = async () => {
      const pids = await run('pgrep', ['-f', 'mariadb-dump .*-- large$']);
      for (const pid of pids.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
    };
    const failure = await interrupted(kill);
    expect(failure).toMatchObject({ code: 'DATABASE_DUMP_FAILED' });
    expect(String((failure as { detail?: string }).detail)).toContain('SIGKILL');
  });

  test('because the server itself goes', async () => {
    expect(await interrupted(() => server.restart())).toMatchObject({ code: 'DATABASE_DUMP_FAILED' });
  });

  test('because nothing comes for too long', async () => {
    const holding = server.sql('LOCK TABLES large.t WRITE; SELECT SLEEP(1000)').catch(() => undefined);
    const holder = () =>
      server.sql(
        "SELECT id FROM information_schema.processlist WHERE info LIKE '%SLEEP(1000)%' AND id <> CONNECTION_ID()",
      );
    await expect.poll(holder).not.toBe('');
    const impatient = createMysqlConnector({ guard: loopbackGuard, stallMs: 500 });
    const source = sourceOn(server, { databases: ['large'] });
    const session = await impatient.connect({ ...source.config, host_key: null }, secretOf(server), never);
    await expect(shelf.backUp(session)).rejects.toMatchObject({ code: 'SOURCE_TIMEOUT' });
    await server.sql(`KILL ${(await holder()).trim()}`);
    await holding;
  });

  test('because the run is cancelled: no program is left', async () => {
    const stop = new AbortController();
    const session = await connect(sourceOn(server, { databases: ['large'] }), secretOf(server), stop.signal);
    const listing = shelf.backUp(
      {
        ...session,
        async *list(options) {
          for await (const item of session.list(options)) {
            yield item;
            if (item.path.toString().endsWith('000002')) stop.abort(new Error('cancelled'));
          }
        },
      },
      stop.signal,
    );
    await expect(listing).rejects.toThrow('cancelled');
    await expect.poll(() => run('pgrep', ['-f', 'mariadb-dump .*-- large$']).catch(() => '')).toBe('');
  });
});

test('a view that cannot be read any more fails the backup and says which', async () => {
  await server.sql(
    'CREATE DATABASE broken; CREATE TABLE broken.t (n INT); CREATE VIEW broken.v AS SELECT n FROM broken.t; DROP TABLE broken.t',
  );
  const session = await connect(sourceOn(server, { databases: ['broken'] }), secretOf(server));
  const failure = shelf.backUp(session);
  await expect(failure).rejects.toMatchObject({ code: 'DATABASE_PERMISSION' });
  await expect(failure).rejects.toHaveProperty('detail', expect.stringContaining('broken'));
});

test('neither password nor certificate is in the arguments or environment of any process during a dump', async () => {
  const seen: string[] = [];
  const session = await connect(sourceOn(server, { databases: ['large'] }), secretOf(server));
  await shelf.backUp({
    ...session,
    async *list(options) {
      for await (const item of session.list(options)) {
        yield item;
        if (!item.path.toString().endsWith('000002')) continue;
        for (const pid of (await run('pgrep', ['-f', 'mariadb-dump .*-- large$'])).trim().split('\n')) {
          seen.push(await readFile(`/proc/${pid}/cmdline`, 'latin1'), await readFile(`/proc/${pid}/environ`, 'latin1'));
        }
      }
    },
  });
  expect(seen.join('\n')).toContain('--defaults-file=/dev/fd/3');
  expect(seen.join('\n')).not.toContain('adm"in');
});
