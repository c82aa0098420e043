import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { type ErrorCode, errorCatalogue } from '@xvault/shared/errors.ts';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy, type TcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { hasEnded, type RunView, runView } from '../api/runs.ts';
import { type E2e, startE2e } from './fixture.ts';

const run = promisify(execFile);
const sourceView = z.object({ host_key: z.string().nullable() });
let e2e: E2e;
let sshd: TestSshd;
let proxy: TcpProxy;

beforeAll(async () => {
  sshd = await startSshd();
  proxy = await startTcpProxy(sshd.port);
  const tree = join(sshd.dataDir, 'tree');
  await mkdir(join(tree, 'sub directory'), { recursive: true });
  for (let i = 0; i < 200; i += 1) await writeFile(join(tree, 'sub directory', `file ${i}`), `content ${i}`);
  await writeFile(join(tree, 'large'), randomBytes(64 * 2 ** 20));
  await run('chown', ['-R', `${sshd.user.uid}:${sshd.user.gid}`, tree]);
  e2e = await startE2e({ allowNetworks: ['127.0.0.0/8'] });
});
afterAll(async () => {
  await e2e.stop();
  await proxy.close();
  await sshd.stop();
});

interface Given {
  readonly type?: 'sftp' | 'ssh';
  readonly host?: string;
  readonly port?: number;
  readonly path?: string;
  readonly password?: string;
}

async function source({
  type = 'sftp',
  host = '127.0.0.1',
  port = sshd.port,
  path = 'tree',
  password,
}: Given): Promise<string> {
  const config = { host, port, user: sshd.user.name, path: join(sshd.dataDir, path) };
  return e2e.customer.source({ type, config, secret: { password: password ?? sshd.user.password } });
}

async function probed(sourceId: string): Promise<RunView> {
  return e2e.customer.post(`/api/v1/sources/${sourceId}/probe`, {});
}

/** A failed run says its code and the customer's sentence, and leaves nothing in the storage. */
async function expectFailure(failed: RunView, code: ErrorCode, storedBefore: readonly string[]): Promise<void> {
  expect([failed.status, failed.error_code]).toEqual(['failed', code]);
  expect(failed.error_summary).toContain(errorCatalogue[code].sentence);
  expect(failed.error_summary).not.toMatch(/127\.0\.0\.1|\/tmp\//);
  expect(failed.snapshot_id).toBeNull();
  await expect.poll(() => e2e.stored(), { timeout: 20_000 }).toEqual(storedBefore);
}

test('a tree comes over SFTP, pinned to the key of the first connection test, and restores equal', async () => {
  const id = await source({});
  const unknown = await e2e.customer.backUp(await e2e.customer.job(id));
  await expectFailure(unknown, 'SSH_HOST_KEY_UNKNOWN', []);
  expect((await probed(id)).status).toBe('success');
  expect((await e2e.customer.api.get(`/api/v1/sources/${id}`, sourceView)).host_key).toBe(sshd.fingerprint());
  const backup = await e2e.customer.backUp(await e2e.customer.job(id));
  expect([backup.status, backup.error_code]).toEqual(['success', null]);
  const target = { type: 'directory', path: join(e2e.folder, 'from sftp') };
  await e2e.customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, { paths: null, target });
  // SFTP's third version knows whole seconds only, so the times are set to what it can say before comparing.
  await run('sh', [
    '-c',
    'find "$1" "$2" -exec touch -h -d @1700000000 {} +',
    'sh',
    join(sshd.dataDir, 'tree'),
    target.path,
  ]);
  expect((await compareTrees(join(sshd.dataDir, 'tree'), target.path)).differences).toEqual([]);
});

test.each<[string, Given | (() => Promise<Given>), ErrorCode]>([
  ['a wrong password', { password: 'not the password' }, 'SOURCE_AUTH_FAILED'],
  ['an unknown host', { host: 'no-such-host.invalid' }, 'SOURCE_HOST_UNKNOWN'],
  ['a refused port', async () => ({ port: await freePort() }), 'SOURCE_CONNECTION_REFUSED'],
  ['a missing path', { path: 'not there' }, 'SOURCE_PATH_NOT_FOUND'],
  ['an address that is not allowed', { host: '10.1.2.3' }, 'SOURCE_ADDRESS_FORBIDDEN'],
])('%s fails the connection test and the backup alike', async (_name, given, code) => {
  const stored = await e2e.stored();
  const id = await source(typeof given === 'function' ? await given() : given);
  await expectFailure(await probed(id), code, stored);
  await e2e.customer.api.post(`/api/v1/sources/${id}/host-key`, { fingerprint: sshd.fingerprint() }, z.unknown());
  await expectFailure(await e2e.customer.backUp(await e2e.customer.job(id)), code, stored);
});

test.each(['sftp', 'ssh'] as const)(
  'a connection by %s that breaks is made again, and the backup is whole',
  async (type) => {
    const id = await source({ type, port: proxy.port });
    await probed(id);
    const job = await e2e.customer.job(id);
    proxy.setLatencyMs(20);
    const bytesBefore = proxy.bytesToClients();
    const runId = await e2e.customer.startBackup(job);
    while (proxy.bytesToClients() < bytesBefore + 8 * 2 ** 20) {
      const now = await e2e.customer.api.get(`/api/v1/runs/${runId}`, runView);
      expect(hasEnded(now), now.error_summary ?? 'ended too soon').toBe(false);
      await sleep(20);
    }
    proxy.cut();
    const backup = await e2e.customer.ended(runId);
    proxy.setLatencyMs(0);
    expect([backup.status, backup.error_code]).toEqual(['success', null]);
    const path = join(e2e.folder, `after a break by ${type}`);
    const target = { type: 'directory', path };
    await e2e.customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, { paths: null, target });
    await run('sh', ['-c', 'find "$1" -exec touch -h -d @1700000000 {} +', 'sh', path]);
    await run('sh', ['-c', 'find "$1" -exec touch -h -d @1700000000 {} +', 'sh', join(sshd.dataDir, 'tree')]);
    expect((await compareTrees(join(sshd.dataDir, 'tree'), path)).differences).toEqual([]);
  },
);

test('a source of the kind ssh is probed', async () => {
  expect((await probed(await source({ type: 'ssh' }))).status).toBe('success');
});

test('a file that this user may not read is a warning, and all others are there', async () => {
  const locked = join(sshd.dataDir, 'locked');
  await mkdir(locked);
  await writeFile(join(locked, 'open'), 'readable');
  await writeFile(join(locked, 'secret'), 'not readable', { mode: 0o000 });
  await chown(locked, sshd.user.uid, sshd.user.gid);
  const id = await source({ path: 'locked' });
  await probed(id);
  const backup = await e2e.customer.backUp(await e2e.customer.job(id));
  expect(backup.status).toBe('warning');
  const warnings = (await e2e.customer.events(backup.id)).filter((event) => event.code.startsWith('ITEM_'));
  expect(warnings.map((event) => [event.code, event.params.item])).toEqual([['ITEM_UNREADABLE', 'secret']]);
});

test('a changed host key fails the run with both fingerprints, until the new one is accepted', async () => {
  const stored = await e2e.stored();
  const id = await source({});
  await probed(id);
  const before = sshd.fingerprint();
  await sshd.restartWithNewHostKey();
  const job = await e2e.customer.job(id);
  const failed = await e2e.customer.backUp(job);
  await expectFailure(failed, 'SSH_HOST_KEY_CHANGED', stored);
  const said = JSON.stringify(await e2e.customer.events(failed.id));
  expect(said).toContain(before);
  expect(said).toContain(sshd.fingerprint());
  await e2e.customer.api.post(`/api/v1/sources/${id}/host-key`, { fingerprint: sshd.fingerprint() }, z.unknown());
  expect((await e2e.customer.backUp(job)).status).toBe('success');
});
