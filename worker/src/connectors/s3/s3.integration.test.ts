import { randomBytes } from 'node:crypto';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { s3SourceConfig } from '@xvault/shared/source-kinds/s3.ts';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { beforeAll, expect, test } from 'vitest';
import { createAddressGuard } from '../../net/guard.ts';
import { connectS3 } from '../../storage/s3-client.ts';
import { S3Objects } from '../../storage/s3-objects.ts';
import { accessTo } from '../../testing/s3.ts';
import { isSkipped, type SkippedItem, type SourceEntry, type SourceSession } from '../connector.ts';
import { createS3Connector } from './connector.ts';
import { createS3Target } from './target.ts';

const mebibyte = 1024 * 1024;
const guard = createAddressGuard({ allow: ['127.0.0.0/8'] });
const connector = createS3Connector({ guard });
const signal = new AbortController().signal;
const options = { oneFileSystem: false, signal };
let server: SharedRadosgw;
beforeAll(async () => {
  server = await sharedS3();
});

interface TestBucket {
  readonly name: string;
  readonly objects: S3Objects;
  put(key: string, content: string | Buffer, metadata?: Record<string, string>): Promise<void>;
}

async function newBucket(): Promise<TestBucket> {
  const name = await server.createBucket();
  const connection = connectS3(accessTo(server, name));
  const objects = new S3Objects(connection, { prefix: '', signal });
  return {
    name,
    objects,
    // By the SDK itself: the keys may be such as no path can be.
    async put(Key, Body, Metadata = {}) {
      await connection.client.send(new PutObjectCommand({ Bucket: name, Key, Body, Metadata }));
    },
  };
}

const secret = () => ({ access_key_id: server.accessKey, secret_access_key: server.secretKey });
const configOf = (bucket: string, more: object = {}) =>
  s3SourceConfig.parse({ endpoint: server.endpoint, bucket, ...more });
const connect = (bucket: TestBucket, more: object = {}) =>
  connector.connect(configOf(bucket.name, more), secret(), signal);

async function listed(session: SourceSession): Promise<{ entries: SourceEntry[]; skipped: SkippedItem[] }> {
  const entries: SourceEntry[] = [];
  const skipped: SkippedItem[] = [];
  for await (const item of session.list(options)) {
    if (isSkipped(item)) skipped.push(item);
    else entries.push(item);
  }
  return { entries, skipped };
}

const nameOf = ({ path, type }: SourceEntry) => `${path}${type === 'directory' ? '/' : ''}`;

async function find(session: SourceSession, name: string): Promise<SourceEntry> {
  const found = (await listed(session)).entries.find(({ path }) => path.toString() === name);
  if (found === undefined) throw new Error(`${name} is not listed`);
  return found;
}

async function contentOf(session: SourceSession, entry: SourceEntry): Promise<Buffer> {
  const stream = await session.open(entry, signal);
  if (isSkipped(stream)) throw new Error(stream.detail);
  const chunks: Buffer[] = [];
  for await (const chunk of stream.chunks) chunks.push(chunk);
  await stream.close();
  return Buffer.concat(chunks);
}

test('keys become a tree; those that cannot are told, and nothing leaves the root', async () => {
  const bucket = await newBucket();
  const good = ['a-b', 'a/b/c', 'a/b/d e+f', 'a/x', 'marker/', 'ü/🗄️', 'line\nbreak', 'z'];
  const bad = ['/leading', 'a//double', '../up', 'a/../../up', './here', `${'n'.repeat(256)}/x`, 'z/below-an-object'];
  for (const key of [...good, ...bad]) await bucket.put(key, key.endsWith('/') ? '' : key);
  await bucket.put('full/', 'content of a marker');
  const session = await connect(bucket);
  const { entries, skipped } = await listed(session);
  expect(entries.map(nameOf)).toEqual([
    './',
    'a-b',
    'a/',
    'a/b/',
    'a/b/c',
    'a/b/d e+f',
    'a/x',
    'full/',
    'line\nbreak',
    'marker/',
    'z',
    'ü/',
    'ü/🗄️',
  ]);
  expect(skipped.map(({ path }) => path.toString()).sort()).toEqual([...bad, 'full/'].sort());
  expect(new Set(skipped.map((item) => item.skipped))).toEqual(new Set(['ITEM_NAME_UNSUPPORTED']));
  const files = entries.filter(({ type }) => type === 'file');
  const results = await session.readMany(files, signal);
  expect(results.map((result) => result.ok && result.data.toString())).toEqual(
    files.map(({ path }) => path.toString()),
  );
  await session.close();
});

test('only what is below the prefix is read, page after page', async () => {
  const bucket = await newBucket();
  const names = Array.from({ length: 1050 }, (_, at) => `file-${String(at).padStart(4, '0')}`);
  for (let at = 0; at < names.length; at += 50) {
    await Promise.all(names.slice(at, at + 50).map((name) => bucket.put(`in/${name}`, name)));
  }
  await bucket.put('in-not', 'x');
  await bucket.put('out/file', 'x');
  const session = await connect(bucket, { prefix: 'in' });
  const { entries } = await listed(session);
  expect(entries.map(nameOf)).toEqual(['./', ...names]);
  expect(await session.measure(options)).toEqual({ fileCount: 1050, totalBytes: 1050 * 9 });
  await session.close();
  const probe = await connector.probe(configOf(bucket.name), secret(), signal);
  expect(probe).toMatchObject({
    hostKey: null,
    entryNames: ['in', 'in-not', 'out'],
    measure: { fileCount: 1052, totalBytes: 1050 * 9 + 2, complete: true },
  });
});

test('a large object comes in order by parallel ranges', async () => {
  const bucket = await newBucket();
  const data = randomBytes(21 * mebibyte + 7);
  await bucket.put('large', data);
  const session = await connect(bucket, { parallel_gets: 3 });
  expect((await contentOf(session, await find(session, 'large'))).equals(data)).toBe(true);
  await session.close();
});

test('an object that is replaced while it is read ends where it was, and says that it changed', async () => {
  const bucket = await newBucket();
  await bucket.put('large', randomBytes(20 * mebibyte));
  const session = await connect(bucket, { parallel_gets: 1 });
  const stream = await session.open(await find(session, 'large'), signal);
  if (isSkipped(stream)) throw new Error(stream.detail);
  const lengths: number[] = [];
  for await (const chunk of stream.chunks) {
    if (lengths.length === 0) await bucket.put('large', 'replaced');
    lengths.push(chunk.length);
  }
  expect(lengths.length).toBeLessThan(5);
  expect(await stream.changed()).toBe(true);
  await stream.close();
  await session.close();
});

test('objects that vanished are told one by one', async () => {
  const bucket = await newBucket();
  await bucket.put('stays', 'here');
  await bucket.put('goes', 'away');
  const session = await connect(bucket);
  const entries = (await listed(session)).entries.filter(({ type }) => type === 'file');
  await bucket.objects.delete(['goes']);
  const results = await session.readMany(entries, signal);
  expect(results[0]).toMatchObject({ ok: false, skipped: { skipped: 'ITEM_VANISHED' } });
  expect(results[1]).toMatchObject({ ok: true, data: Buffer.from('here') });
  const goes = entries[0];
  if (goes === undefined) throw new Error('nothing was listed');
  expect(await session.open(goes, signal)).toMatchObject({ skipped: 'ITEM_VANISHED' });
  await session.close();
});

test('what stops a backup is said by its code', async () => {
  const bucket = await newBucket();
  await bucket.put('a', 'a');
  const fails = (config: object, wrong: object = {}) =>
    connector.connect(configOf(bucket.name, config), { ...secret(), ...wrong }, signal);
  await expect(fails({}, { secret_access_key: 'wrong' })).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
  await expect(fails({ bucket: 'not-there' })).rejects.toMatchObject({ code: 'SOURCE_BUCKET_NOT_FOUND' });
  await expect(fails({ prefix: 'nothing' })).rejects.toMatchObject({ code: 'SOURCE_PATH_NOT_FOUND' });
  await expect(fails({ endpoint: 'http://127.0.0.1:1' })).rejects.toMatchObject({ code: 'SOURCE_CONNECTION_REFUSED' });
  const stranger = await server.createUser();
  const keys = { access_key_id: stranger.accessKey, secret_access_key: stranger.secretKey };
  await expect(fails({}, keys)).rejects.toMatchObject({ code: 'SOURCE_PERMISSION' });
  const closed = createS3Connector({ guard: createAddressGuard({ allow: [] }) });
  await expect(closed.connect(configOf(bucket.name), secret(), signal)).rejects.toMatchObject({
    code: 'SOURCE_ADDRESS_FORBIDDEN',
  });
});

test('what is restored to a bucket is read back as it was, times and modes included', async () => {
  const bucket = await newBucket();
  const target = await createS3Target({ guard }).connectTarget(configOf(bucket.name), secret(), '/back/to', signal);
  const base = { uid: 0, gid: 0, mtimeNs: 1_700_000_000_123_456_789n };
  const entry = (path: string, sizeBytes: number): SourceEntry => ({
    ...base,
    path: Buffer.from(path),
    type: 'file',
    sizeBytes,
    mode: 0o640,
  });
  const large = randomBytes(18 * mebibyte);
  async function* pieces(...data: Buffer[]) {
    yield* data;
  }
  expect(await target.stat(Buffer.from('.'))).toBeNull();
  await target.writeFile(entry('dir/small', 5), pieces(Buffer.from('small')), signal);
  await target.writeFile(entry('large', large.length), pieces(large), signal);
  await target.finishDirectory({ ...entry('empty', 0), type: 'directory', mode: 0o755 });
  expect(await target.stat(Buffer.from('dir'))).toMatchObject({ type: 'directory' });
  expect(await target.stat(Buffer.from('dir/small'))).toEqual({ type: 'file', sizeBytes: 5, mtimeNs: base.mtimeNs });
  expect(await target.stat(Buffer.from('di'))).toBeNull();
  async function* broken() {
    yield large;
    throw new Error('the snapshot cannot be read');
  }
  await expect(target.writeFile(entry('broken', 1), broken(), signal)).rejects.toThrow('cannot be read');
  await expect(target.writeFile({ ...entry('x', 1), path: Buffer.from([0xff]) }, pieces(), signal)).rejects.toThrow(
    'UTF-8',
  );
  await target.close();

  const session = await connect(bucket, { prefix: 'back/to' });
  const { entries } = await listed(session);
  expect(entries.map(nameOf)).toEqual(['./', 'dir/', 'dir/small', 'empty/', 'large']);
  const [small] = await session.readMany([await find(session, 'dir/small')], signal);
  expect(small).toMatchObject({ ok: true, entry: { mtimeNs: base.mtimeNs, mode: 0o640 }, data: Buffer.from('small') });
  expect((await contentOf(session, await find(session, 'large'))).equals(large)).toBe(true);
  expect(await bucket.objects.abortUploads('')).toBe(0);
  await session.close();
});

test('what the server says of an object comes with its content, small or large', async () => {
  const bucket = await newBucket();
  await bucket.put('small', 'content', { colour: 'blue', mode: '0640' });
  await bucket.put('large', randomBytes(9 * mebibyte), { colour: 'red' });
  const session = await connect(bucket);
  const { entries } = await listed(session);
  const entryOf = (path: string) => entries.filter((entry) => entry.path.equals(Buffer.from(path)));
  const etag = expect.stringMatching(/^"[0-9a-f-]+"$/);
  const [small] = await session.readMany(entryOf('small'), signal);
  const own = { 'meta:colour': 'blue', 'meta:mode': '0640' };
  expect(small).toMatchObject({ ok: true, entry: { attributes: { etag, content_type: expect.any(String), ...own } } });
  for (const entry of entryOf('large')) {
    const stream = await session.open(entry, signal);
    if (isSkipped(stream)) throw new Error(stream.detail);
    await stream.close();
    expect(stream.entry.attributes).toMatchObject({ etag, 'meta:colour': 'red' });
  }
  expect(entryOf('large')).toHaveLength(1);
  await session.close();
});
