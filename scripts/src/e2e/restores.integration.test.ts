import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { generateKeyPair, type KeyPair } from '@xvault/shared/sealing.ts';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { runView } from '../api/runs.ts';
import { type E2e, startE2e } from './fixture.ts';

const run = promisify(execFile);
const accepted = z.object({ run: runView, export_id: z.string().nullable() });
const actions = z.record(z.string(), z.number());
const changeList = z.object({
  actions,
  items: z.array(z.object({ path: z.string(), action: z.string(), type: z.string() })),
});
const ended = z.object({
  status: z.string(),
  warnings: z.number(),
  result: z.object({ actions, file_count: z.number() }),
});

let e2e: E2e;
let tree: string;
let original: string;
let sourceId: string;
let jobId: string;
let snapshotId: string;

beforeAll(async () => {
  e2e = await startE2e();
  tree = join(e2e.folder, 'tree');
  original = join(e2e.folder, 'original');
  await mkdir(join(tree, 'a', 'b'), { recursive: true });
  await writeFile(join(tree, 'a', 'one.txt'), 'one');
  await writeFile(join(tree, 'a', 'b', 'two'), Buffer.alloc(3_000_000, 'two'));
  await writeFile(join(tree, 'three'), 'three');
  await run('cp', ['-a', tree, original]);
  sourceId = await e2e.customer.source({ type: 'local', config: { path: tree } });
  jobId = await e2e.customer.job(sourceId);
  snapshotId = (await e2e.customer.backUp(jobId)).snapshot_id ?? '';
});
afterAll(() => e2e.stop());

async function restored(target: object, more: object = {}, id = snapshotId) {
  const { api } = e2e.customer;
  const started = await api.post(`/api/v1/snapshots/${id}/restore`, { target, ...more }, accepted);
  await e2e.customer.ended(started.run.id);
  const view = await api.get(`/api/v1/runs/${started.run.id}`, z.looseObject({ status: z.string() }));
  return { runId: started.run.id, exportId: started.export_id ?? '', view };
}

async function toSource(target: object, more: object = {}) {
  const { runId, view } = await restored({ type: 'source', ...target }, more);
  const { status, result } = ended.parse(view);
  return { runId, status, actions: result.actions, files: result.file_count };
}

async function link(exportId: string): Promise<string> {
  const shape = z.object({ url: z.string() });
  return (await e2e.customer.api.post(`/api/v1/exports/${exportId}/link`, {}, shape)).url;
}

/** Takes some of an answer and cuts the connection. */
function cutOff(url: string, wantedBytes: number): Promise<{ head: string; body: Buffer }> {
  const { hostname, port, pathname, search } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => {
      socket.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);
    });
    let received = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('data', (data) => {
      received = Buffer.concat([received, data]);
      const at = received.indexOf('\r\n\r\n');
      if (at === -1 || received.length < at + 4 + wantedBytes) return;
      socket.destroy();
      resolve({ head: received.toString('latin1', 0, at), body: received.subarray(at + 4) });
    });
  });
}

test('a lost file comes back to the source it was pulled from, and nothing else is touched', async () => {
  await run('rm', ['-r', join(tree, 'a', 'b')]);
  await writeFile(join(tree, 'three'), 'changed since');
  const dry = await toSource({}, { dry_run: true });
  const listed = await e2e.customer.api.get(`/api/v1/runs/${dry.runId}/changes`, changeList);
  expect(listed.items.map(({ path, action, type }) => [path, action, type]).sort()).toEqual([
    ['a/b', 'create', 'directory'],
    ['a/b/two', 'create', 'file'],
  ]);
  expect(await readdir(join(tree, 'a'))).toEqual(['one.txt']);

  expect(await toSource({})).toMatchObject({ status: 'success', actions: dry.actions, files: 1 });
  expect(await readFile(join(tree, 'three'), 'utf8')).toBe('changed since');
  expect((await stat(join(tree, 'a', 'b', 'two'))).size).toBe(3_000_000);
});

test('what is there is replaced, replaced when older, or kept beside, as it is asked', async () => {
  const newer = new Date(Date.now() + 3_600_000);
  await writeFile(join(tree, 'three'), 'mine');
  await utimes(join(tree, 'three'), newer, newer);
  expect(await toSource({ overwrite: 'if_newer' })).toMatchObject({ actions: { skip: 6 }, files: 0 });
  const beside = await toSource({ overwrite: 'rename' }, { paths: ['three'] });
  expect(beside).toMatchObject({ actions: { rename: 1 }, files: 1 });
  const name = (await readdir(tree)).find((found) => found.startsWith('three (restored '));
  expect(await readFile(join(tree, name ?? ''), 'utf8')).toBe('three');
  const events = await e2e.customer.events(beside.runId);
  expect(events.find(({ code }) => code === 'ITEM_RENAMED')?.message).toBe(
    `Restored under another name, ${name}: three`,
  );
  expect(await readFile(join(tree, 'three'), 'utf8')).toBe('mine');
  expect(await toSource({ overwrite: 'always' })).toMatchObject({ status: 'success', files: 3 });
  await run('rm', [join(tree, name ?? '')]);
  const { differences } = await compareTrees(original, tree);
  expect(differences.filter((difference) => !JSON.stringify(difference).includes('mtime'))).toEqual([]);
});

test('another place of another source takes it too, and what is in the way is told', async () => {
  const elsewhere = join(e2e.folder, 'elsewhere');
  const id = await e2e.customer.source({ type: 'local', config: { path: elsewhere } });
  const target = { source_id: id, path: join(elsewhere, 'deep', 'er') };
  expect(await toSource(target)).toMatchObject({ status: 'success', files: 3 });
  expect(await readFile(join(target.path, 'a', 'one.txt'), 'utf8')).toBe('one');
  await run('rm', ['-r', join(target.path, 'a')]);
  await writeFile(join(target.path, 'a'), 'in the way');
  const blocked = await toSource({ ...target, overwrite: 'always' });
  expect(blocked).toMatchObject({ status: 'warning', actions: { fail: 4, overwrite: 1 } });
  const told = (await e2e.customer.events(blocked.runId)).filter(({ code }) => code === 'ITEM_NOT_RESTORED');
  expect(told.map(({ message }) => message)).toEqual(['Not restored: a']);
});

test('a tar.gz download that broke off is gone on with; whoever comes second with the link gets nothing', async () => {
  const { exportId } = await restored({ type: 'export', format: 'tar.gz' });
  const url = await link(exportId);
  const described = await fetch(url, { method: 'HEAD' });
  const size = Number(described.headers.get('content-length'));
  expect([described.status, described.headers.get('accept-ranges'), size > 1000]).toEqual([200, 'bytes', true]);

  const { head, body } = await cutOff(url, 1000);
  expect(head).toMatch(/^HTTP\/1.1 200 /);
  const [, cookie = ''] = /^set-cookie: ([^;]+)/im.exec(head) ?? [];
  const [, resumeAt = ''] = /^x-xvault-resume-url: (\S+)/im.exec(head) ?? [];
  const etag = /^etag: (\S+)/im.exec(head)?.[1] ?? '';
  const first = body.subarray(0, 700);
  const rangeFrom = (from: number) => ({ range: `bytes=${from}-`, 'if-range': etag });

  expect((await fetch(url, { headers: rangeFrom(700) })).status).toBe(410);
  const byCookie = await fetch(url, { headers: { ...rangeFrom(700), cookie } });
  expect([byCookie.status, byCookie.headers.get('content-range')]).toEqual([206, `bytes 700-${size - 1}/${size}`]);
  const whole = Buffer.concat([first, Buffer.from(await byCookie.arrayBuffer())]);
  const byAddress = await fetch(new URL(resumeAt, url), { headers: rangeFrom(700) });
  expect(byAddress.status).toBe(206);
  expect(Buffer.concat([first, Buffer.from(await byAddress.arrayBuffer())]).equals(whole)).toBe(true);
  expect((await fetch(new URL(resumeAt, url), { headers: { range: `bytes=${size}-` } })).status).toBe(416);
  expect((await fetch(new URL(`${resumeAt}x`, url))).status).toBe(404);
  const { exportId: another } = await restored({ type: 'export', format: 'zip' });
  expect((await fetch(new URL(resumeAt.replace(exportId, another), url))).status).toBe(404);

  const opened = join(e2e.folder, 'opened');
  await mkdir(opened);
  await writeFile(join(e2e.folder, 'export.tar.gz'), whole);
  await run('tar', ['-xzpf', join(e2e.folder, 'export.tar.gz'), '-C', opened]);
  expect((await compareTrees(original, opened)).differences).toEqual([]);
});

test('a worker that is killed in the middle of a restore: the next attempt goes on, and cancelling leaves no half file', async () => {
  const { customer, platform, folder } = e2e;
  const many = join(folder, 'many');
  await mkdir(join(many, 'files'), { recursive: true, mode: 0o750 });
  for (let at = 0; at < 60; at += 1) await writeFile(join(many, 'files', `${at}`), randomBytes(100_000));
  const id = await customer.source({ type: 'local', config: { path: many } });
  const snapshot = (await customer.backUp(await customer.job(id))).snapshot_id ?? '';
  const { email, password } = platform.operator;
  const operator = await ApiClient.signIn(platform.hubUrl, email, password);
  const limit = (bandwidth_limit_bps: number | null) =>
    operator.patch(`/api/v1/tenants/${customer.tenantId}`, { bandwidth_limit_bps }, z.unknown());
  const begin = async (path: string) => {
    const target = { type: 'source', source_id: id, path, overwrite: 'rename' };
    const { run: begun } = await customer.api.post(`/api/v1/snapshots/${snapshot}/restore`, { target }, accepted);
    const written = () => readdir(join(path, 'files')).catch(() => []);
    while ((await written()).filter((name) => !name.startsWith('.')).length < 5) await sleep(20);
    return begun.id;
  };
  await limit(2_000_000);
  // Limits are looked at anew every few seconds.
  await sleep(4000);
  const killed = join(folder, 'killed');
  const runId = await begin(killed);
  await platform.killWorker('SIGKILL');
  await platform.startWorker();
  expect(await customer.ended(runId)).toMatchObject({ status: 'success', attempt: 2 });
  expect(await readdir(join(killed, 'files'))).toHaveLength(60);
  const { differences } = await compareTrees(many, killed);
  expect(differences.filter((difference) => !JSON.stringify(difference).includes('mtime'))).toEqual([]);
  expect((await stat(join(killed, 'files'))).mode & 0o777).toBe(0o750);
  expect((await stat(join(killed, 'files'))).mtimeMs).toBeCloseTo((await stat(join(many, 'files'))).mtimeMs, 0);

  const cancelled = join(folder, 'cancelled');
  const cancelledId = await begin(cancelled);
  await customer.api.post(`/api/v1/runs/${cancelledId}/cancel`, {}, z.unknown());
  expect(await customer.ended(cancelledId)).toMatchObject({ status: 'cancelled' });
  for (const name of await readdir(join(cancelled, 'files'))) {
    expect((await stat(join(cancelled, 'files', name))).size).toBe(100_000);
  }
  await limit(null);
});

test('a tenant that holds its own key gets the snapshot as it is stored, or brings the key for one run', async () => {
  const key: KeyPair = await generateKeyPair();
  const { api } = e2e.customer;
  const answer = await fetch(`${api.baseUrl}/api/v1/tenant/keys/customer`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${api.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ recipient: key.recipient }),
  });
  expect([answer.status, await answer.text()]).toMatchObject([200, expect.any(String)]);
  const own = (await e2e.customer.backUp(jobId)).snapshot_id ?? '';
  const keyless = { status: 409, code: 'TENANT_KEY_UNAVAILABLE' };
  await expect(restored({ type: 'export' }, {}, own)).rejects.toMatchObject(keyless);
  // What was backed up before is still the platform's to open.
  expect((await restored({ type: 'export' })).view.status).toBe('success');

  const stranger = await generateKeyPair();
  const wrong = await restored({ type: 'export' }, { identity: stranger.identity }, own);
  expect(wrong.view).toMatchObject({ status: 'failed', error_code: 'IDENTITY_MISMATCH' });
  const right = await restored({ type: 'export', format: 'zip' }, { identity: key.identity, paths: ['three'] }, own);
  expect(right.view.status).toBe('success');

  const { exportId, view } = await restored({ type: 'export', format: 'encrypted' }, {}, own);
  expect(view.status).toBe('success');
  const folder = join(e2e.folder, 'encrypted');
  await mkdir(folder);
  await writeFile(join(folder, 'export.tar'), Buffer.from(await (await fetch(await link(exportId))).arrayBuffer()));
  await writeFile(join(folder, 'key'), key.identity, { mode: 0o600 });
  const script = 'tar xf export.tar && mkdir t && age -d -i key backup.tar.zst.enc | zstd -d | tar xp -C t';
  await run('sh', ['-c', `set -e; cd "$1"; ${script}`, 'sh', folder]);
  const manifest = z.looseObject({}).parse(JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')));
  expect(JSON.stringify(manifest)).toContain(key.recipient);
  expect((await compareTrees(tree, join(folder, 't'))).differences).toEqual([]);
});
