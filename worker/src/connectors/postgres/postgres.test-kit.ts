import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { postgresConfig } from '@xvault/shared/source-kinds/database.ts';
import type { DatabaseSecret, SourceOf } from '@xvault/shared/sources.ts';
import { loopbackGuard, never } from '../database/database.test-kit.ts';
import { createPostgresConnector } from './connector.ts';
import { conninfo } from './conninfo.ts';

const execute = promisify(execFile);
export const connector = createPostgresConnector({ guard: loopbackGuard });
export const secret: DatabaseSecret = { password: 'not asked for' };

/** A source on the server at `postgres://user@host:port/…`; `config` as the API takes it. */
export function sourceOn(url: string, config: Record<string, unknown> = {}, hostKey: string | null = null) {
  const { hostname, port, username } = new URL(url);
  const parsed = postgresConfig.parse({ host: hostname, port: Number(port), user: username, ...config });
  return { type: 'postgres', config: parsed, host_key: hostKey } satisfies SourceOf<'postgres'>;
}

export function connect(source: SourceOf<'postgres'>, given = secret, signal = never) {
  return connector.connect({ ...source.config, host_key: source.host_key }, given, signal);
}

export function probe(source: SourceOf<'postgres'>, given = secret) {
  return connector.probe({ ...source.config, host_key: source.host_key }, given, never);
}

export const awkwardName = `we"ird 'd=b' \\ %_é 漢`;

/** Everything that a dump can lose. */
export const awkwardContent = `
create schema "quo""ted"; create type "quo""ted".mood as enum ('sad', 'it''s ok');
create table "quo""ted"."ta ble" (id bigint generated always as identity primary key, name text, doubled int generated always as (length(name) * 2) stored,
  raw bytea, moment timestamptz, attributes jsonb, feeling "quo""ted".mood, list int[], amount numeric(30,10));
insert into "quo""ted"."ta ble" (name, raw, moment, attributes, feeling, list, amount) values
  ('emoji 🎉 漢字', '\\x000102ff0a0d275c', '2024-02-29 12:34:56.789012+00', '{"a": [1, "x\\n"]}', 'it''s ok', '{1,null,3}', 12345678901234567890.0123456789),
  (E'line\\nbreak \\\\ '' "', null, null, null, null, null, 'NaN'), (null, null, null, null, null, null, null);
create table child (id int primary key, parent bigint references "quo""ted"."ta ble" (id) on delete cascade, check (id > 0));
insert into child select n, 1 from generate_series(1, 1000) n;
create view top_names as select name, doubled from "quo""ted"."ta ble";
create materialized view counted as select count(*) from child;
create sequence counter start 100 increment 10; select nextval('counter');
create function twice(n int) returns int language sql immutable as $$ select n * 2 $$;
create table log (entry text);
create function note() returns trigger language plpgsql as $$ begin insert into log values ('child ' || new.id); return new; end $$;
create trigger on_child after insert on child for each row execute function note();
create index by_twice on child (twice(id));
select lo_from_bytea(4242, '\\x00ff10'); comment on table child is 'it''s "commented"';
`;

export async function psql(url: string, database: string, sql: string): Promise<string> {
  const { hostname, port, username } = new URL(url);
  const args = ['-X', '-q', '-w', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-h', hostname, '-p', port, '-U', username];
  const child = execute('psql', [...args, '-d', conninfo(database)], { maxBuffer: 2 ** 28 });
  child.child.stdin?.end(sql);
  return (await child).stdout;
}

export async function makeDatabase(url: string, name: string, content = awkwardContent): Promise<void> {
  await psql(url, 'postgres', `create database "${name.replaceAll('"', '""')}" template template0 encoding 'UTF8'`);
  await psql(url, name, content);
}

export async function dropDatabases(url: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await psql(url, 'postgres', `drop database if exists "${name.replaceAll('"', '""')}"`);
  }
}

/** All that a database is, as the dumper says it in SQL. */
export async function contentOf(url: string, name: string): Promise<string> {
  const { hostname, port, username } = new URL(url);
  const args = ['-w', '-h', hostname, '-p', port, '-U', username, `--dbname=${conninfo(name)}`];
  const { stdout } = await execute('pg_dump', args, { maxBuffer: 2 ** 28 });
  // Later versions put a random word there.
  return stdout.replace(/^\\(un)?restrict .*$/gm, '');
}
