import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { ApiClient } from '../api/client.ts';
import { runView } from '../api/runs.ts';
import { type E2e, startE2e } from './fixture.ts';

const created = z.object({ id: z.string() });
const MiB = 1024 * 1024;
let e2e: E2e;
let ftp: TestVsftpd;
let receiver: Server;
let hookUrl: string;
const told: Record<string, unknown>[] = [];
const large = randomBytes(6 * MiB);

beforeAll(async () => {
  ftp = await startVsftpd({ tls: 'explicit' });
  const tree = join(ftp.dataDir, 'site');
  await mkdir(join(tree, 'html'), { recursive: true });
  await mkdir(join(tree, 'cache', 'deep'), { recursive: true });
  await writeFile(join(tree, 'html', 'index.php'), '<?php');
  await writeFile(join(tree, 'html', 'error.log'), 'no');
  await writeFile(join(tree, 'html', 'huge'), Buffer.alloc(8 * MiB));
  await writeFile(join(tree, 'html', 'large'), large);
  await writeFile(join(tree, 'cache', 'deep', 'x'), 'no');
  receiver = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request) text += chunk;
    told.push(JSON.parse(text));
    response.writeHead(request.url === '/refuse' ? 503 : 200).end();
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  hookUrl = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
  e2e = await startE2e({ allowNetworks: ['127.0.0.0/8'] });
});
afterAll(async () => {
  await e2e?.stop();
  receiver?.close();
  await ftp?.stop();
});

async function makeJob(options: object): Promise<string> {
  const { customer } = e2e;
  const config = {
    ...{ host: '127.0.0.1', port: ftp.port, user: ftp.user, path: '/site' },
    ...{ tls: 'explicit', ca_pem: ftp.certPem, connections: 2 },
  };
  const source = await customer.source({ type: 'ftp', config, secret: { password: ftp.password } });
  const destination = await customer.api.post(
    '/api/v1/destinations',
    { name: 'd', type: 'local_fs', config: {} },
    created,
  );
  const ids = { source_id: source, destination_id: destination.id };
  return (await customer.api.post('/api/v1/jobs', { name: 'job', ...ids, max_attempts: 1, options }, created)).id;
}
const webhook = (path: string, more: object = {}) => ({ type: 'webhook', url: `${hookUrl}${path}`, ...more });

test('a backup over FTPS, without what is excluded, between its hooks', async () => {
  const jobId = await makeJob({
    exclude: ['*.log', '/cache/'],
    max_file_bytes: 7 * MiB,
    read_concurrency: 2,
    compression_level: 5,
    hooks: { pre: [webhook('/begin')], post: [webhook('/end'), webhook('/refuse')] },
  });
  const run = await e2e.customer.backUp(jobId);
  expect([run.status, run.error_code]).toEqual(['warning', null]);
  expect(told.splice(0)).toMatchObject([
    { run_id: run.id, job_id: jobId, phase: 'pre', outcome: null },
    { run_id: run.id, phase: 'post', outcome: 'success', stats: { file_count: 2, source_bytes: large.length + 5 } },
    { run_id: run.id, phase: 'post' },
  ]);
  const events = await e2e.customer.events(run.id);
  expect(events.filter(({ code }) => code === 'FILES_LEFT_OUT')).toMatchObject([
    { level: 'info', params: { files: 1, bytes: 8 * MiB } },
  ]);
  expect(events.filter(({ code }) => code === 'HOOK_FAILED')).toMatchObject([
    { level: 'warn', params: { phase: 'post' } },
  ]);
  const target = join(e2e.folder, 'restored');
  const body = { target: { type: 'directory', path: target } };
  const restored = await e2e.customer.post(`/api/v1/snapshots/${run.snapshot_id}/restore`, body);
  expect(restored.status).toBe('success');
  expect((await readFile(join(target, 'html', 'large'))).equals(large)).toBe(true);
  expect(await readFile(join(target, 'html', 'index.php'), 'utf8')).toBe('<?php');
  await expect(readFile(join(target, 'cache', 'deep', 'x'))).rejects.toMatchObject({ code: 'ENOENT' });
});

test('a connection test, and a restore back over FTPS beside what is there', async () => {
  const { customer } = e2e;
  const jobId = await makeJob({ include: ['/html/large', '*.php'] });
  const { source_id: sourceId } = await customer.api.get(`/api/v1/jobs/${jobId}`, z.object({ source_id: z.string() }));
  const probed = await customer.post(`/api/v1/sources/${sourceId}/probe`, {});
  expect([probed.status, probed.error_code]).toEqual(['success', null]);
  const backup = await customer.backUp(jobId);
  expect(backup.status).toBe('success');
  const body = { target: { type: 'source', path: '/restored here' } };
  const restored = await customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, body);
  expect([restored.status, restored.error_code]).toEqual(['success', null]);
  const back = join(ftp.dataDir, 'restored here', 'html');
  expect((await readFile(join(back, 'large'))).equals(large)).toBe(true);
  expect((await readdir(back)).sort()).toEqual(['index.php', 'large']);
});

test('a pre hook that fails stops the run before the source is asked for anything', async () => {
  const before = (await ftp.log()).length;
  const jobId = await makeJob({ hooks: { pre: [webhook('/refuse')], post: [webhook('/end')] } });
  const run = await e2e.customer.backUp(jobId);
  expect([run.status, run.error_code, run.snapshot_id]).toEqual(['failed', 'HOOK_FAILED', null]);
  expect(told.splice(0)).toMatchObject([
    { phase: 'pre' },
    { phase: 'post', outcome: 'failed', error_code: 'HOOK_FAILED' },
  ]);
  expect((await ftp.log()).length).toBe(before);
});

test('a limit on bandwidth holds a run back, and is lifted while it goes on', async () => {
  const { platform, customer } = e2e;
  const operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
  const settings = z.object({ bandwidth_limit_bps: z.int().nullable() });
  await operator.patch('/api/v1/settings', { bandwidth_limit_bps: 64 * 1024 }, settings);
  // What the Hub has kept of the limits is older for two seconds at most.
  await sleep(2_100);
  const runId = await customer.startBackup(
    await makeJob({ include: ['/html/large'], hooks: { post: [webhook('/end')] } }),
  );
  const now = () => customer.api.get(`/api/v1/runs/${runId}`, runView);
  let seen = await now();
  for (const until = Date.now() + 60_000; seen.bytes_transferred === 0 && Date.now() < until; seen = await now())
    await sleep(100);
  expect(seen.bytes_transferred).toBeGreaterThan(0);
  await sleep(1_500);
  const held = await now();
  expect(held.status).toBe('running');
  expect(held.bytes_transferred).toBeLessThan(large.length);
  await operator.patch('/api/v1/settings', { bandwidth_limit_bps: null }, settings);
  const ended = await customer.ended(runId);
  expect([ended.status, ended.bytes_transferred]).toEqual(['success', large.length]);
  const codes = (await customer.events(runId)).map(({ code }) => code);
  expect(codes).toContain('BANDWIDTH_CHANGED');
  expect(told.splice(0)).toMatchObject([{ outcome: 'success' }]);
});
