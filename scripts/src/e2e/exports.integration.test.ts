import { execFile } from 'node:child_process';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { runView } from '../api/runs.ts';
import { type E2e, makeCustomer, startE2e } from './fixture.ts';

const run = promisify(execFile);
const accepted = z.object({ run: runView, export_id: z.string() });
const link = z.object({ url: z.string(), expires_at: z.string() });
const files = z.object({
  entries: z.array(z.object({ path: z.string(), type: z.string(), size_bytes: z.number() })),
  next_offset: z.number().nullable(),
});
let e2e: E2e;
let tree: string;
let snapshotId: string;

beforeAll(async () => {
  e2e = await startE2e();
  tree = join(e2e.folder, 'tree');
  await mkdir(join(tree, 'a', 'b'), { recursive: true });
  await writeFile(join(tree, 'a', 'one'), 'one');
  await writeFile(join(tree, 'a', 'b', 'two'), 'two'.repeat(100_000));
  await symlink('one', join(tree, 'a', 'link'));
  const source = await e2e.customer.source({ type: 'local', config: { path: tree } });
  snapshotId = (await e2e.customer.backUp(await e2e.customer.job(source))).snapshot_id ?? '';
});
afterAll(() => e2e.stop());

async function exported(format: string, paths: string[] | null): Promise<string> {
  const body = { paths, target: { type: 'export', format } };
  const { run: started, export_id } = await e2e.customer.api.post(
    `/api/v1/snapshots/${snapshotId}/restore`,
    body,
    accepted,
  );
  expect((await e2e.customer.ended(started.id)).status).toBe('success');
  return export_id;
}

function newLink(exportId: string): Promise<z.infer<typeof link>> {
  return e2e.customer.api.post(`/api/v1/exports/${exportId}/link`, {}, link);
}

test('a tar.zst export is fetched from the worker by a link that works once', async () => {
  const id = await exported('tar.zst', null);
  const { url } = await newLink(id);
  expect(new URL(url).port).not.toBe(new URL(e2e.platform.hubUrl).port);
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  const file = join(e2e.folder, 'export.tar.zst');
  await writeFile(file, Buffer.from(await answer.arrayBuffer()));
  const opened = join(e2e.folder, 'opened');
  await mkdir(opened);
  await run('sh', ['-c', 'zstd -dc "$1" | tar -xp -C "$2"', 'sh', file, opened]);
  expect((await compareTrees(tree, opened)).differences).toEqual([]);

  const again = await fetch(url);
  expect([again.status, z.object({ code: z.string() }).parse(await again.json()).code]).toEqual([
    410,
    'EXPORT_LINK_USED',
  ]);
  expect((await fetch((await newLink(id)).url)).status).toBe(200);
  const replaced = await newLink(id);
  await newLink(id);
  expect((await fetch(replaced.url)).status).toBe(410);
});

test('a zip export holds the chosen paths', async () => {
  const answer = await fetch((await newLink(await exported('zip', ['a/b']))).url);
  expect(answer.headers.get('content-type')).toBe('application/zip');
  const file = join(e2e.folder, 'export.zip');
  await writeFile(file, Buffer.from(await answer.arrayBuffer()));
  const opened = join(e2e.folder, 'unzipped');
  await run('unzip', ['-q', file, '-d', opened]);
  expect(await readFile(join(opened, 'a', 'b', 'two'))).toEqual(await readFile(join(tree, 'a', 'b', 'two')));
  expect((await run('find', [opened, '-name', 'one'])).stdout).toBe('');
});

test('links that were tampered with, or are for another export, open nothing', async () => {
  const [first, second] = [await exported('zip', ['a/one']), await exported('zip', ['a/one'])];
  const { url } = await newLink(first);
  const broken = new URL(url);
  broken.searchParams.set('token', `${broken.searchParams.get('token')}x`);
  expect((await fetch(broken)).status).toBe(410);
  expect((await fetch(url.replace(first, second))).status).toBe(410);
  expect((await fetch(url.replace(/\?.*/, ''))).status).toBe(404);
  expect((await fetch(url)).status).toBe(200);
});

test('the files of a snapshot are listed a directory at a time and page by page', async () => {
  const list = (query: string) => e2e.customer.api.get(`/api/v1/snapshots/${snapshotId}/files?${query}`, files);
  expect((await list('')).entries.map((entry) => entry.path)).toEqual(['a']);
  expect((await list('path=a')).entries.map((entry) => [entry.path, entry.type])).toEqual([
    ['a/b', 'directory'],
    ['a/link', 'symlink'],
    ['a/one', 'file'],
  ]);
  const first = await list('recursive=true&limit=2');
  expect(first.next_offset).not.toBeNull();
  const rest = await list(`recursive=true&offset=${first.next_offset}`);
  const paths = [...first.entries, ...rest.entries].map((entry) => entry.path);
  expect(paths.filter((path) => path !== '.')).toEqual(['a', 'a/b', 'a/b/two', 'a/link', 'a/one']);
});

test('another tenant sees none of it', async () => {
  const { platform } = e2e;
  const operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
  const stranger = await makeCustomer(operator, 'stranger', []);
  const exportId = await exported('zip', null);
  for (const path of [`snapshots/${snapshotId}`, `snapshots/${snapshotId}/files`, `exports/${exportId}`]) {
    await expect(stranger.api.get(`/api/v1/${path}`, z.unknown())).rejects.toMatchObject({ status: 404 });
  }
  await expect(stranger.api.post(`/api/v1/exports/${exportId}/link`, {}, z.unknown())).rejects.toMatchObject({
    status: 404,
  });
  const own = { type: 'local', config: { path: tree }, name: 'not mine' };
  await expect(stranger.api.post('/api/v1/sources', own, z.unknown())).rejects.toMatchObject({
    code: 'PATH_NOT_ALLOWED',
  });
});
