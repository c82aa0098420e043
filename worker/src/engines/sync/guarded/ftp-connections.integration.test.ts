import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import { sourceConnection } from '@xvault/shared/sources.ts';
import { startPyftpd } from '@xvault/shared/testing/pyftpd.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { startVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncJob, type SyncPlatform } from '../../../handlers/sync-context.test-kit.ts';
import { TestFtpClient } from './ftp-client.test-kit.ts';
import { clientOf, closeKept, gatewayTo, kept } from './ftp-gateway.test-kit.ts';
import { startFtpRelay } from './ftp-relay.test-kit.ts';

let platform: SyncPlatform;
beforeAll(async () => {
  platform = await makeSyncPlatform();
});
afterAll(() => platform?.remove());
afterEach(closeKept);

interface Server {
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly dataDir: string;
}

function jobOf({ port, user, password }: Server, more: object): SyncJob {
  const config = { host: '127.0.0.1', port, user, path: '/', tls: 'none', ...more };
  const source = { connection: sourceConnection.parse({ type: 'ftp', config }), secret: { password } };
  return { source, destination: { connection: { type: 'local_fs', config: {} } }, jobId: newId() };
}

async function limited(most: number) {
  const server = await startVsftpd({ extraConfig: [`max_per_ip=${most}`] });
  return kept({ ...server, close: () => server.stop() });
}

async function fill({ dataDir }: Server): Promise<void> {
  for (let at = 0; at < 40; at += 1) {
    const directory = join(dataDir, `directory ${at % 8}`);
    await mkdir(directory, { recursive: true });
    await writeFile(join(directory, `file ${at}`), randomBytes(100_000));
    await mkdir(join(dataDir, `empty ${at % 8}`), { recursive: true });
  }
}

describe('a server that lets in few', () => {
  it.each([
    { allowed: 2, connections: 4 },
    { allowed: 1, connections: 4 },
    { allowed: 1, connections: 1 },
  ])('is read with as many: %j', async ({ allowed, connections }) => {
    const server = await limited(allowed);
    await fill(server);
    const job = jobOf(server, { connections });
    const made = await platform.backup(job);
    expect(made.told.warnings, JSON.stringify(made.told.notes)).toBe(0);
    expect(made.result.snapshot.file_count).toBe(40);
    await writeFile(join(server.dataDir, 'new'), 'new');
    expect((await platform.backup(job)).result.snapshot.file_count).toBe(41);
  });

  it('and has no room at all is not told as a wrong password', async () => {
    const server = await limited(1);
    await gatewayTo(server);
    const { error } = await platform.failedBackup(jobOf(server, {}));
    expect(error).toMatchObject({ code: 'SOURCE_CONNECTION_REFUSED', retryable: true });
  });
});

describe('connections', () => {
  it('are never more than asked for, and each login is used', async () => {
    const server = await startVsftpd();
    kept({ close: () => server.stop() });
    await fill(server);
    const relay = kept(await startFtpRelay(server.port));
    let most = 0;
    const watch = setInterval(() => {
      most = Math.max(most, relay.controls());
    }, 1);
    await platform.backup(jobOf({ ...server, port: relay.port }, { connections: 3 }));
    clearInterval(watch);
    expect(most).toBe(3);
    expect((await server.log()).match(/OK LOGIN/g)).toHaveLength(3);
  });

  it('that a client leaves make room for the next', async () => {
    const server = await limited(2);
    const gateway = await gatewayTo(server);
    expect(gateway.connections).toBe(2);
    await clientOf(gateway);
    for (let turn = 0; turn < 4; turn += 1) {
      const client = await TestFtpClient.logIn(gateway);
      expect(await client.ask('NOOP')).toMatchObject({ code: 200 });
      client.close();
    }
    const second = await clientOf(gateway);
    await expect(TestFtpClient.logIn(gateway)).rejects.toThrow('421 connection refused: too many connections');
    expect(await second.ask('NOOP')).toMatchObject({ code: 200 });
  });

  it('that the server has ended are made anew', async () => {
    const server = await startVsftpd();
    kept({ close: () => server.stop() });
    const gateway = await gatewayTo(server);
    server.signalSessions('SIGKILL');
    await until('a new login', async () => {
      const client = await TestFtpClient.logIn(gateway).catch(() => null);
      const code = client === null ? 0 : (await client.ask('NOOP')).code;
      client?.close();
      return code === 200;
    });
  });
});

it.each([1, 2])('a server with MLSD is read over %i', async (connections) => {
  const server = await startPyftpd();
  kept({ close: () => server.stop() });
  await fill(server);
  const { result, told } = await platform.backup(jobOf(server, { connections }));
  expect(told.warnings).toBe(0);
  expect(result.snapshot.file_count).toBe(40);
});
