import { randomFillSync } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { descendants } from '@xvault/shared/testing/process-tree.ts';
import type { SharedRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { hasEnded, runView } from '../api/runs.ts';
import { type E2e, startE2e } from './fixture.ts';

const made = z.object({ id: z.string() });
const mebibyte = 2 ** 20;
const slowly = { bandwidth_limit_bps: 6 * mebibyte };
let s3: SharedRadosgw;
let sshd: TestSshd;
let e2e: E2e;

beforeAll(async () => {
  [s3, sshd] = await Promise.all([sharedS3(), startSshd()]);
  e2e = await startE2e({ allowNetworks: ['127.0.0.0/8'] });
});
afterAll(async () => {
  await e2e?.stop();
  await sshd?.stop();
});

interface Place {
  readonly type: string;
  readonly config: object;
  readonly secret: object;
}

async function toBucket(): Promise<Place> {
  const { endpoint, region, accessKey, secretKey } = s3;
  const config = { endpoint, region, bucket: await s3.createBucket() };
  return { type: 's3', config, secret: { access_key_id: accessKey, secret_access_key: secretKey } };
}

async function toServer(): Promise<Place> {
  const { host, port, user, dataDir: path } = sshd;
  const config = { host, port, user: user.name, path, host_key: sshd.fingerprint() };
  return { type: 'sftp', config, secret: { private_key: sshd.privateKey } };
}

/** A job over a folder with a large file in it. */
async function jobTo(name: string, place: Place, more: object = {}): Promise<{ jobId: string; source: string }> {
  const source = join(e2e.folder, name);
  await mkdir(source);
  await writeFile(join(source, 'large'), randomFillSync(Buffer.alloc(24 * mebibyte)));
  await writeFile(join(source, 'small'), 'small');
  const sourceId = await e2e.customer.source({ type: 'local', config: { path: source } });
  const destination = await e2e.customer.api.post('/api/v1/destinations', { name, ...place }, made);
  const ids = { source_id: sourceId, destination_id: destination.id };
  const body = { name, ...ids, engine: 'sync', sync: slowly, max_attempts: 3, ...more };
  return { jobId: (await e2e.customer.api.post('/api/v1/jobs', body, made)).id, source };
}

async function untilMoving(runId: string): Promise<void> {
  for (;;) {
    const now = await e2e.customer.api.get(`/api/v1/runs/${runId}`, runView);
    expect(hasEnded(now), 'ended too soon').toBe(false);
    if (now.bytes_transferred > mebibyte) return;
    await sleep(20);
  }
}

async function expectRestored(snapshotId: string | null, source: string, to: string): Promise<void> {
  const path = join(e2e.folder, to);
  const restored = await e2e.customer.post(`/api/v1/snapshots/${snapshotId}/restore`, {
    target: { type: 'directory', path },
  });
  expect(restored).toMatchObject({ status: 'success' });
  for (const name of await readdir(source)) {
    expect((await readFile(join(path, name))).equals(await readFile(join(source, name))), name).toBe(true);
  }
}

/** In which the worker's rclone works, in memory. */
async function runFolder(): Promise<string> {
  for (const pid of descendants(e2e.platform.worker?.pid ?? 0)) {
    const folder = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (folder.includes('/xvault-sync-')) return folder;
  }
  throw new Error('no rclone is at work');
}

test.each([
  ['a bucket', toBucket],
  ['a server', toServer],
])('the worker is killed in the middle of a sync to %s: the next attempt makes the version', async (name, make) => {
  const { jobId, source } = await jobTo(`killed ${name}`, await make());
  const runId = await e2e.customer.startBackup(jobId);
  await untilMoving(runId);
  const folder = await runFolder();
  expect(existsSync(folder)).toBe(true);
  await e2e.platform.killWorker('SIGKILL');
  await e2e.platform.startWorker();
  const ended = await e2e.customer.ended(runId);
  expect([ended.status, ended.error_code]).toEqual(['success', null]);
  await expectRestored(ended.snapshot_id, source, `back from ${name}`);
  const checked = await e2e.customer.post(`/api/v1/snapshots/${ended.snapshot_id}/validate`, { level: 'full' });
  expect(checked).toMatchObject({ status: 'success' });
  await expect.poll(() => existsSync(folder)).toBe(false);
});

test.each([
  ['a bucket', toBucket],
  ['a server', toServer],
])(
  'a sync to %s that is cancelled ends as cancelled, and nothing that it cut short is ever in a version',
  async (name, make) => {
    const { jobId, source } = await jobTo(`cancelled ${name}`, await make());
    const runId = await e2e.customer.startBackup(jobId);
    await untilMoving(runId);
    await e2e.customer.api.post(`/api/v1/runs/${runId}/cancel`, {}, z.unknown());
    const ended = await e2e.customer.ended(runId);
    expect([ended.status, ended.snapshot_id]).toEqual(['cancelled', null]);
    const events = await e2e.customer.events(runId);
    expect(events.map(({ type }) => type)).toContain('cancelled');
    const next = await e2e.customer.backUp(jobId);
    expect([next.status, next.error_code]).toEqual(['success', null]);
    await expectRestored(next.snapshot_id, source, `after ${name}`);
  },
);

test.each([
  ['sftp', 'user', (text: string) => ({ host: 'h', port: 22, user: text, path: '/x' }), { password: 'p' }],
  ['ftp', 'path', (text: string) => ({ host: 'h', port: 21, user: 'u', path: `/${text}` }), { password: 'p' }],
  ['webdav', 'url', (text: string) => ({ url: `http://h/${text}`, user: 'u', path: '' }), { password: 'p' }],
  ['smb', 'share', (text: string) => ({ host: 'h', port: 445, user: 'u', share: text, path: '' }), { password: 'p' }],
  [
    's3',
    'region',
    (text: string) => ({ endpoint: null, region: text, bucket: 'bucket' }),
    { access_key_id: 'a', secret_access_key: 'b' },
  ],
])('a %s source whose %s would be more than one line is refused', async (type, _, config, secret) => {
  for (const text of ['a\nb = c', 'a\r\n[dst]\r\ntype = local', 'a\u0000b']) {
    const asked = e2e.customer.api.post('/api/v1/sources', { name: 'x', type, config: config(text), secret }, made);
    await expect(asked, JSON.stringify(text)).rejects.toMatchObject({ status: 400 });
  }
});
