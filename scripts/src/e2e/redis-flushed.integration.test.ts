import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { redisCommand } from '@xvault/shared/testing/redis-command.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy, type TcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runView } from '../api/runs.ts';
import { type E2e, startE2e } from './fixture.ts';

const backups = 50;
const limits = { XVAULT_TENANT_MAX_RUNS: '100', XVAULT_SOURCE_HOST_MAX_RUNS: '100' };
let e2e: E2e;
let sshd: TestSshd;
let proxy: TcpProxy;

beforeAll(async () => {
  sshd = await startSshd();
  proxy = await startTcpProxy(sshd.port);
  const tree = join(sshd.dataDir, 'tree');
  await mkdir(tree);
  for (let i = 0; i < 20; i += 1) await writeFile(join(tree, `file ${i}`), 'x'.repeat(100_000));
  e2e = await startE2e({
    allowNetworks: ['127.0.0.0/8'],
    slots: backups,
    extraHub: { ...limits, XVAULT_LEASE_MS: '30000' },
  });
});
afterAll(async () => {
  await e2e?.stop();
  await proxy?.close();
  await sshd?.stop();
});

async function makeJob(): Promise<string> {
  const config = { host: '127.0.0.1', port: proxy.port, user: sshd.user.name, path: join(sshd.dataDir, 'tree') };
  const secret = { private_key: sshd.privateKey };
  const id = await e2e.customer.source({ type: 'sftp', config, secret });
  const fingerprint = { fingerprint: sshd.fingerprint() };
  await e2e.customer.api.post(`/api/v1/sources/${id}/host-key`, fingerprint, runView.partial());
  return e2e.customer.job(id);
}

test(`Redis emptied in the middle of ${backups} running backups: none begins anew, all finish`, async () => {
  const jobs = [];
  for (let i = 0; i < backups; i += 1) jobs.push(await makeJob());
  // The network falls silent, so that all of them are at work at the same moment.
  proxy.stall();
  const runs = await Promise.all(jobs.map((job) => e2e.customer.startBackup(job)));
  const see = (id: string) => e2e.customer.api.get(`/api/v1/runs/${id}`, runView);
  const allRunning = async () => (await Promise.all(runs.map(see))).every((seen) => seen.status === 'running');
  await until(`${backups} running backups`, allRunning, 60_000);

  const url = new URL((await readFile(join(e2e.platform.dataDir, 'secrets', 'redis-url'), 'utf8')).trim());
  expect(await redisCommand(Number(url.port), url.password, ['FLUSHALL'])).toContain('OK');
  proxy.resume();
  const ended = await Promise.all(runs.map((id) => e2e.customer.ended(id)));
  expect(ended.map((one) => [one.status, one.attempt, one.error_code])).toEqual(runs.map(() => ['success', 1, null]));
  expect(new Set(ended.map((one) => one.snapshot_id)).size).toBe(backups);
});
