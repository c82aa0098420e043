import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ownDatabase } from '@xvault/shared/testing/test-databases.ts';
import { sql } from 'kysely';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { databaseKinds } from '../testing/test-hub.ts';
import { type OpenDatabase, openDatabase } from './database.ts';
import { DatabaseNewerError, migrate } from './migrate.ts';

const logger = pino({ level: 'silent' });

async function collect(open: OpenDatabase, channel: string) {
  const seen: string[] = [];
  let wake: (() => void) | undefined;
  const end = await open.listen(channel, (payload) => {
    seen.push(payload);
    wake?.();
  });
  const until = async (count: number) => {
    while (seen.length < count) await new Promise<void>((resolve) => (wake = resolve));
  };
  return { seen, until, end };
}

describe.each(databaseKinds)('a %s database', (kind) => {
  let folder: string;
  let url: string;
  let open: OpenDatabase;

  // One for all: making an embedded database takes long.
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'xvault-db-'));
    url = kind === 'postgres' ? await ownDatabase() : `pglite://${join(folder, 'a folder')}`;
    open = await openDatabase(url, { logger });
  });
  afterAll(async () => {
    await open.close();
    await rm(folder, { recursive: true });
  });

  it('gives numbers, dates and parsed JSON', async () => {
    const { rows } = await sql`select 9007199254740991::bigint as big, '2026-01-02T03:04:05.678Z'::timestamptz as at,
      '{"a":[1]}'::jsonb as json, 1.5::float8 as half, true as yes`.execute(open.db);
    expect(rows).toEqual([
      { big: 9007199254740991, at: new Date('2026-01-02T03:04:05.678Z'), json: { a: [1] }, half: 1.5, yes: true },
    ]);
    expect(open.kind).toBe(kind);
  });

  it('is migrated once, and a second time nothing happens', async () => {
    await migrate(open, logger);
    await open.db.insertInto('settings').values({ key: 'kept', value: '{}' }).execute();
    await migrate(open, logger);
    expect(await open.db.selectFrom('settings').selectAll().execute()).toEqual([{ key: 'kept', value: {} }]);
  });

  it('that a later version has written is refused and left as it is', async () => {
    await migrate(open, logger);
    await sql`insert into kysely_migration values ('9999-later', now()::text)`.execute(open.db);
    await expect(migrate(open, logger)).rejects.toThrow(DatabaseNewerError);
    await expect(migrate(open, logger)).rejects.toThrow('9999-later');
    await sql`delete from kysely_migration where name = '9999-later'`.execute(open.db);
  });

  it('rolls a failed transaction back', async () => {
    await migrate(open, logger);
    const failing = open.db.transaction().execute(async (trx) => {
      await trx.insertInto('settings').values({ key: 'gone', value: '{}' }).execute();
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    const rows = await open.db.selectFrom('settings').selectAll().where('key', '=', 'gone').execute();
    expect(rows).toEqual([]);
    await open.db.insertInto('settings').values({ key: 'gone', value: '{}' }).execute();
  });

  it('tells listeners of a channel, in order, of what was committed', async () => {
    const one = await collect(open, 'Some "channel"');
    const two = await collect(open, 'Some "channel"');
    const other = await collect(open, 'other');
    const notify = (payload: string) => sql`select pg_notify('Some "channel"', ${payload})`;
    await notify('a').execute(open.db);
    await open.db.transaction().execute((trx) => notify('b').execute(trx));
    const failing = open.db.transaction().execute(async (trx) => {
      await notify('never').execute(trx);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    await one.until(2);
    await two.until(2);
    await two.end();
    await notify('c').execute(open.db);
    await sql`select pg_notify('other', 'd')`.execute(open.db);
    await one.until(3);
    await other.until(1);
    expect(one.seen).toEqual(['a', 'b', 'c']);
    expect(two.seen).toEqual(['a', 'b']);
    expect(other.seen).toEqual(['d']);
    await one.end();
    const again = await collect(open, 'Some "channel"');
    await notify('e').execute(open.db);
    await again.until(1);
    expect(again.seen).toEqual(['e']);
    expect(one.seen).toEqual(['a', 'b', 'c']);
  });

  it('keeps what was committed when it is closed and opened again', async () => {
    await migrate(open, logger);
    await open.db.insertInto('settings').values({ key: 'k', value: '{"v":1}' }).execute();
    await open.close();
    await open.close();
    open = await openDatabase(url, { logger });
    await migrate(open, logger);
    const rows = await open.db.selectFrom('settings').selectAll().where('key', '=', 'k').execute();
    expect(rows).toEqual([{ key: 'k', value: { v: 1 } }]);
  });
});

describe('on PostgreSQL', () => {
  it('several Hubs migrate at once', async () => {
    const url = await ownDatabase();
    const hubs = await Promise.all([1, 2, 3].map(() => openDatabase(url, { logger })));
    try {
      await Promise.all(hubs.map((open) => migrate(open, logger)));
      for (const open of hubs) expect(await open.db.selectFrom('runs').selectAll().execute()).toEqual([]);
    } finally {
      await Promise.all(hubs.map((open) => open.close()));
    }
  });

  it('a Hub that hangs inside a transaction loses it, and with it its locks', async () => {
    const url = await ownDatabase();
    const [hung, other] = [
      await openDatabase(url, { logger, idleInTransactionMs: 100 }),
      await openDatabase(url, { logger }),
    ];
    try {
      // By the one that may take its time: the limit would end a slow migration as well.
      await migrate(other, logger);
      await other.db.insertInto('settings').values({ key: 'k', value: '{"v":1}' }).execute();
      const holding = Promise.withResolvers<void>();
      const hanging = hung.db.transaction().execute(async (trx) => {
        await trx.updateTable('settings').set({ value: '{"v":2}' }).where('key', '=', 'k').execute();
        holding.resolve();
        // Nothing more comes until the other one got through.
        await waited;
        await trx.selectFrom('settings').selectAll().execute();
      });
      const failed = expect(hanging).rejects.toThrow();
      await holding.promise;
      const waited = other.db.updateTable('settings').set({ value: '{"v":3}' }).where('key', '=', 'k').execute();
      await waited;
      await failed;
      expect(await other.db.selectFrom('settings').select('value').executeTakeFirst()).toEqual({ value: { v: 3 } });
      expect(await hung.db.selectFrom('settings').selectAll().execute()).toHaveLength(1);
    } finally {
      await Promise.all([hung.close(), other.close()]);
    }
  });

  it('statements that come again and again are prepared, also after the connection was lost', async () => {
    const url = await ownDatabase();
    const open = await openDatabase(url, { logger, poolSize: 1 });
    try {
      const ask = (value: number) => sql<{ value: number }>`select ${value}::int as value`.execute(open.db);
      const prepared = async () =>
        (await sql<{ n: number }>`select count(*)::int as n from pg_prepared_statements`.execute(open.db)).rows[0]?.n;
      for (const value of [1, 2, 3, 4]) expect((await ask(value)).rows).toEqual([{ value }]);
      expect(await prepared()).toBe(1);
      await sql`select pg_terminate_backend(pg_backend_pid())`.execute(open.db).catch(() => undefined);
      // The pool may give the lost connection once more before it hears of the loss.
      await expect
        .poll(() =>
          ask(0).then(
            ({ rows }) => rows,
            () => null,
          ),
        )
        .toEqual([{ value: 0 }]);
      for (const value of [5, 6]) expect((await ask(value)).rows).toEqual([{ value }]);
      expect(await prepared()).toBe(1);
    } finally {
      await open.close();
    }
  });

  it('the loss of all connections is survived, and listeners are told that they may have missed something', async () => {
    const url = await ownDatabase();
    const open = await openDatabase(url, { logger });
    try {
      const listener = await collect(open, 'news');
      await sql`select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()`.execute(open.db);
      await listener.until(1);
      await sql`select pg_notify('news', 'after')`.execute(open.db);
      await listener.until(2);
      expect(listener.seen).toEqual(['', 'after']);
    } finally {
      await open.close();
    }
  });
});
