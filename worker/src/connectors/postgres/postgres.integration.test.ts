import { execFile } from 'node:child_process';
import { chown, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { type PostgresServer, startPostgres } from '@xvault/shared/testing/postgres.ts';
import { unprivilegedUser } from '@xvault/shared/testing/unprivileged-user.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import {
  makeCertificates,
  makeShelf,
  type RestoreInto,
  restoreInto,
  type Shelf,
} from '../database/database.test-kit.ts';
import { directoryName } from '../database/entry-names.ts';
import { awkwardName, connect, contentOf, makeDatabase, probe, psql, secret, sourceOn } from './postgres.test-kit.ts';

const run = promisify(execFile);
let server: PostgresServer;
let url: string;
let shelf: Shelf;
let folder: string;
let ca: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xvault-certs-'));
  const files = await makeCertificates(folder, 'localhost');
  ca = await readFile(files.ca, 'utf8');
  const user = unprivilegedUser();
  if (user !== undefined)
    for (const file of [folder, files.key, files.certificate]) await chown(file, user.uid, user.gid);
  [server, shelf] = await Promise.all([startPostgres(), makeShelf()]);
  url = server.url;
  await makeDatabase(url, awkwardName);
  await makeDatabase(url, 'plain');
  await psql(
    url,
    'postgres',
    "create role reader login; create role unused nologin; grant unused to reader; alter role reader password 'hidden'",
  );
  await psql(
    url,
    'postgres',
    `alter system set ssl_cert_file = '${files.certificate}'; alter system set ssl_key_file = '${files.key}'`,
  );
});
afterAll(async () => {
  await shelf.remove();
  await server.stop();
  await rm(folder, { recursive: true, force: true });
});

async function databases(): Promise<string[]> {
  return (await psql(url, 'postgres', 'select datname from pg_database where not datistemplate order by 1'))
    .trim()
    .split('\n');
}

test('a probe tells the version, the databases and their size', async () => {
  const found = await probe(sourceOn(url));
  expect(found.server).toMatch(/^PostgreSQL \d+/);
  expect(found.entryNames.toSorted()).toEqual(['postgres', 'plain', awkwardName].toSorted());
  expect(found.measure?.totalBytes).toBeGreaterThan(10_000_000);
});

test('all databases but the excluded, whatever their names, come back equal under other names, by us and by hand', async () => {
  const reader = await shelf.backUp(await connect(sourceOn(url, { exclude_databases: ['postgres'] })));
  const restored = await restoreInto({
    reader,
    source: sourceOn(url),
    secret,
    databases: { [awkwardName]: `se"cond 'x'`, plain: 'plain 2' },
  });
  expect(restored.fileCount).toBe(2);
  expect(await contentOf(url, `se"cond 'x'`)).toBe(await contentOf(url, awkwardName));
  expect(await contentOf(url, 'plain 2')).toBe(await contentOf(url, 'plain'));
  const unpacked = await shelf.unpack();
  expect((await readdir(join(unpacked, 'databases'))).toSorted()).toEqual(
    ['plain', directoryName(awkwardName)].toSorted(),
  );
  const { port } = new URL(url);
  await psql(url, 'postgres', 'create database by_hand template template0');
  const script =
    'set -o pipefail; cat "$1"/dump.* | pg_restore -w -h 127.0.0.1 -p "$2" -U postgres --no-owner -d by_hand';
  await run('bash', ['-c', script, 'bash', join(unpacked, 'databases', 'plain'), port]);
  expect(await contentOf(url, 'by_hand')).toBe(await contentOf(url, 'plain'));
  const globals = await readFile(join(unpacked, 'globals.sql'), 'utf8');
  expect(globals).toContain('CREATE ROLE reader');
  expect(globals).not.toMatch(/hidden|SCRAM|PASSWORD '/);
});

describe('restoring', () => {
  let reader: ArtifactReader;
  beforeAll(async () => {
    await makeDatabase(
      url,
      'one',
      'create table t (n int); insert into t select generate_series(1, 50000); create role granted nologin; grant select on t to granted',
    );
    reader = await shelf.backUp(await connect(sourceOn(url, { databases: ['one'], globals: false })));
  });
  const restore = (options: Partial<RestoreInto>) => restoreInto({ reader, source: sourceOn(url), secret, ...options });

  test('never touches a database that is there, unless told', async () => {
    await psql(url, 'one', 'create table newer (n int)');
    const before = await contentOf(url, 'one');
    await expect(restore({})).rejects.toMatchObject({ code: 'DATABASE_EXISTS', params: { database: 'one' } });
    expect((await restore({ overwrite: true, dryRun: true })).changes).toMatchObject([
      { path: 'one', action: 'overwrite' },
    ]);
    expect(await contentOf(url, 'one')).toBe(before);
    await restore({ overwrite: true });
    expect(await psql(url, 'one', "select count(*) from t; select to_regclass('newer') is null")).toBe('50000\nt\n');
    expect((await databases()).filter((name) => name.startsWith('xvault'))).toEqual([]);
  });

  test('does not replace one that is in use, and leaves both as they were', async () => {
    const before = await databases();
    const holder = run('psql', [
      '-X',
      '-w',
      '-h',
      '127.0.0.1',
      '-p',
      new URL(url).port,
      '-U',
      'postgres',
      '-d',
      'one',
      '-c',
      'select pg_sleep(1000)',
    ]);
    const ended = holder.catch(() => undefined);
    const sessions = "select count(*) from pg_stat_activity where datname = 'one'";
    await expect.poll(() => psql(url, 'postgres', sessions)).toBe('1\n');
    await expect(restore({ overwrite: true })).rejects.toMatchObject({ code: 'DATABASE_RESTORE_FAILED' });
    expect(await psql(url, 'one', 'select count(*) from t')).toBe('50000\n');
    expect(await databases()).toEqual(before);
    holder.child.kill();
    await ended;
    await psql(url, 'postgres', "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'one'");
  });

  test('fills an empty database, and says so when roles of its privileges are missing', async () => {
    await psql(url, 'postgres', 'create database prepared template template0');
    expect((await restore({ databases: { one: 'prepared' } })).notes).toEqual([]);
    expect(await contentOf(url, 'prepared')).toContain('GRANT SELECT ON TABLE public.t TO granted');
    await psql(url, 'one', 'drop owned by granted');
    await psql(url, 'prepared', 'drop owned by granted; drop role granted');
    const { notes } = await restore({ databases: { one: 'without role' } });
    expect(notes).toEqual([expect.stringContaining('granted')]);
    expect(await psql(url, 'without role', 'select count(*) from t')).toBe('50000\n');
  });

  test('that fails or is cancelled leaves nothing', async () => {
    const before = await databases();
    const damaged: Pick<ArtifactReader, 'entries' | 'readTar'> = {
      entries: (signal) => reader.entries(signal),
      async *readTar(offset, length, signal) {
        for await (const piece of reader.readTar(offset, length, signal)) {
          const copy = Buffer.from(piece);
          if (length > 10_000) copy[copy.length - 2] = (copy[copy.length - 2] ?? 0) ^ 1;
          yield copy;
        }
      },
    };
    const options = { reader: damaged as ArtifactReader, databases: { one: 'damaged' } };
    await expect(restore(options)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
    const stop = new AbortController();
    let reports = 0;
    const onProgress = () => {
      reports += 1;
      if (reports === 2) stop.abort(new Error('cancelled'));
    };
    await expect(restore({ databases: { one: 'cancelled' }, signal: stop.signal, onProgress })).rejects.toThrow(
      'cancelled',
    );
    expect(await databases()).toEqual(before);
  });
});

describe('what is wrong is told by probe and backup alike', () => {
  test.each<[string, Record<string, unknown>, string]>([
    ['a missing database', { databases: ['plain', 'not there'] }, 'DATABASE_NOT_FOUND'],
    ['a missing maintenance database', { maintenance_database: 'not there' }, 'DATABASE_NOT_FOUND'],
    ['an unknown user', { user: 'nobody at all' }, 'SOURCE_AUTH_FAILED'],
    ['TLS that the server does not have', { tls: 'required' }, 'SOURCE_TLS_FAILED'],
    ['an address that is not allowed', { host: '10.11.12.13' }, 'SOURCE_ADDRESS_FORBIDDEN'],
  ])('%s', async (_name, config, code) => {
    await expect(probe(sourceOn(url, config))).rejects.toMatchObject({ code });
    await expect(connect(sourceOn(url, config))).rejects.toMatchObject({ code });
  });

  test('a port where nobody listens', async () => {
    const source = sourceOn(url, { port: await freePort() });
    await expect(probe(source)).rejects.toMatchObject({ code: 'SOURCE_CONNECTION_REFUSED' });
  });

  test('a table that the user may not read fails the backup', async () => {
    const session = await connect(sourceOn(url, { user: 'reader', databases: ['plain'], globals: false }));
    await expect(shelf.backUp(session)).rejects.toMatchObject({ code: 'DATABASE_PERMISSION' });
  });
});

describe('a dump that ends too soon fails the backup and leaves nothing', () => {
  beforeAll(async () => {
    await makeDatabase(
      url,
      'large',
      'create table t as select n, repeat(md5(n::text), 300) b from generate_series(1, 6000) n',
    );
  });

  test.each([
    [
      'the server ends its connection',
      async () =>
        psql(url, 'postgres', "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'large'"),
    ],
    [
      'the program is killed',
      async () => {
        const { stdout } = await run('pgrep', ['-f', 'pg_dump .*large']);
        for (const pid of stdout.trim().split('\n')) process.kill(Number(pid), 'SIGKILL');
      },
    ],
  ])('because %s', async (_name, interrupt) => {
    const stored = await shelf.stored();
    const session = await connect(sourceOn(url, { databases: ['large'] }));
    const wrapped = {
      ...session,
      async *list(options: Parameters<typeof session.list>[0]) {
        for await (const item of session.list(options)) {
          yield item;
          if (item.path.toString().endsWith('000001')) await interrupt();
        }
      },
    };
    await expect(shelf.backUp(wrapped)).rejects.toMatchObject({ code: 'DATABASE_DUMP_FAILED' });
    expect(await shelf.stored()).toEqual(stored);
  });
});

describe('with TLS and a password', () => {
  beforeAll(async () => {
    await psql(url, 'postgres', "alter system set ssl = on; alter role reader superuser password 'pa:ss\\w''ord'");
    const hba = (await psql(url, 'postgres', 'show hba_file')).trim();
    await run('sh', [
      '-c',
      'printf "hostssl all reader all scram-sha-256\\nhost all reader all reject\\nhost all all all trust\\nlocal all all trust\\n" > "$1"',
      'sh',
      hba,
    ]);
    await psql(url, 'postgres', 'select pg_reload_conf()');
  });
  const password = { password: "pa:ss\\w'ord" };

  test.each([
    ['preferred', {}],
    ['required', { tls: 'required' }],
    ['verify_ca', { tls: 'verify_ca', ca: true }],
    ['verify_full', { tls: 'verify_full', host: 'localhost', ca: true }],
  ])('%s is used by probe and dump', async (_mode, { ca: withCa, ...config }: Record<string, unknown>) => {
    const source = sourceOn(url, {
      ...config,
      user: 'reader',
      databases: ['plain'],
      ...(withCa === true ? { ca_pem: ca } : {}),
    });
    expect((await probe(source, password)).entryNames).toEqual(['plain']);
    expect((await shelf.backUp(await connect(source, password))).tarBytes).toBeGreaterThan(10_000);
  });

  test.each([
    ['a wrong password', {}, 'wrong', 'SOURCE_AUTH_FAILED'],
    ['no TLS where the server demands it', { tls: 'disabled' }, undefined, 'SOURCE_AUTH_FAILED'],
    ['an authority that nobody knows', { tls: 'verify_ca' }, undefined, 'SOURCE_TLS_FAILED'],
    ['another name', { tls: 'verify_full', ca: true }, undefined, 'SOURCE_TLS_FAILED'],
  ])('%s is refused', async (_name, { ca: withCa, ...config }: Record<string, unknown>, given, code) => {
    const source = sourceOn(url, { ...config, user: 'reader', ...(withCa === true ? { ca_pem: ca } : {}) });
    await expect(probe(source, given === undefined ? password : { password: given })).rejects.toMatchObject({ code });
  });
});
