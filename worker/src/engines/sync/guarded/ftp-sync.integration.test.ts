import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import type { SpecInput } from '@xvault/shared/run-kinds.ts';
import { type SourceConnection, sourceConnection } from '@xvault/shared/sources.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  makeSyncPlatform,
  type SyncJob,
  type SyncPlatform,
  type WithSecret,
} from '../../../handlers/sync-context.test-kit.ts';
import { handleSyncRestore } from '../../../handlers/sync-snapshot.ts';
import { type FtpRelay, startFtpRelay } from './ftp-relay.test-kit.ts';

const MiB = 1024 * 1024;
const large = randomBytes(5 * MiB);
const files: Readonly<Record<string, string | Buffer>> = {
  'a.txt': 'first',
  empty: '',
  'two words/ünï çødé 😀': 'named',
  'two words/deep/er [1] #%': 'deep',
  'large.bin': large,
};
let platform: SyncPlatform;
let relay: FtpRelay | undefined;

beforeAll(async () => {
  platform = await makeSyncPlatform();
});
afterAll(() => platform.remove());
afterEach(async () => {
  await relay?.close();
  relay = undefined;
});

type Server = Pick<TestVsftpd, 'port' | 'user' | 'password' | 'certPem'>;

function overFtp(server: Server, more: object): WithSecret<SourceConnection> {
  const { port, user, password, certPem } = server;
  const config = { host: '127.0.0.1', port, user, path: '/', ca_pem: certPem === '' ? null : certPem, ...more };
  return { connection: sourceConnection.parse({ type: 'ftp', config }), secret: { password } };
}

function jobOf(source: WithSecret<SourceConnection>, options: SyncJob['options'] = {}): SyncJob {
  return { source, destination: { connection: { type: 'local_fs', config: {} } }, jobId: newId(), options };
}

async function filled(server: TestVsftpd, below: string): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(server.dataDir, below, name);
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(path, content);
  }
}

async function expectEqual(folder: string): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    expect((await readFile(join(folder, name))).equals(Buffer.from(content)), name).toBe(true);
  }
}

async function restore(
  job: SyncJob,
  made: Awaited<ReturnType<SyncPlatform['backup']>>,
  target: SpecInput<'restore'>['target'],
) {
  const spec: SpecInput<'restore'> = {
    kind: 'restore',
    snapshot: platform.refOf(job, made.result),
    paths: null,
    target,
    export_id: null,
    export_expires_at: null,
  };
  const secrets = { destination: job.destination.secret, target: job.source.secret };
  const { context, told } = await platform.contextOf<'restore'>(spec, secrets);
  return { result: await handleSyncRestore(context, platform.deps), told };
}

describe.each(['none', 'explicit', 'implicit'] as const)('a sync over FTP, TLS: %s', (tls) => {
  let server: TestVsftpd;
  beforeAll(async () => {
    server = await startVsftpd({ tls });
    await filled(server, 'data');
  });
  afterAll(() => server?.stop());

  it('brings every byte, and brings it back', async () => {
    const job = jobOf(overFtp(server, { tls, path: '/data' }));
    const made = await platform.backup(job);
    expect(made.told.events.at(-1)).toMatchObject({ code: 'COMPLETED_SUCCESS' });
    expect(made.result.snapshot.file_count).toBe(Object.keys(files).length);
    const folder = join(platform.root, newId());
    await restore(job, made, { type: 'directory', path: folder });
    await expectEqual(folder);

    await mkdir(join(server.dataDir, 'back'));
    await chown(join(server.dataDir, 'back'), server.uid, server.gid);
    const source = job.source.connection;
    const back = await restore(job, made, {
      type: 'source',
      source_id: 'source',
      source,
      overwrite: 'never',
      path: '/back',
    });
    expect(back.told.warnings, JSON.stringify(back.told.notes)).toBe(0);
    expect(back.result.file_count).toBe(Object.keys(files).length);
    await expectEqual(join(server.dataDir, 'back'));
    expect((await platform.backup(job)).told.events.at(-1)).toMatchObject({ code: 'NO_CHANGES' });
  });

  it('a wrong password, or a certificate of nobody’s, is told at once', async () => {
    const source = overFtp(server, { tls, path: '/data' });
    const { error } = await platform.failedBackup(jobOf({ ...source, secret: { password: 'wrong' } }));
    expect(error).toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
    if (tls === 'none') return;
    const { error: untrusted } = await platform.failedBackup(jobOf(overFtp(server, { tls, ca_pem: null })));
    expect(untrusted).toMatchObject({ code: 'SOURCE_TLS_FAILED', retryable: false });
  });
});

describe('a network that breaks or lies', () => {
  let server: TestVsftpd;
  beforeAll(async () => {
    server = await startVsftpd();
    await filled(server, '');
  });
  afterAll(() => server?.stop());
  const through = ({ host, port }: FtpRelay, options: SyncJob['options'] = {}) =>
    jobOf(overFtp({ ...server, port }, { host, tls: 'none' }), options);
  const stored = (job: SyncJob) =>
    join(platform.config.XVAULT_STORAGE_DIR, 'tenants/tenant/sources/source/sync', job.jobId, 'current');

  it('an address that the server names is never gone to', async () => {
    relay = await startFtpRelay(server.port, { host: '127.0.0.2', namedHost: '127.0.0.3' });
    const job = through(relay);
    await platform.backup(job);
    await expectEqual(stored(job));
    expect(relay.bytesToClients()).toBeGreaterThan(large.length);
    expect(relay.strayed()).toBe(0);
  });

  it('a data connection that is reset once or twice: the file is whole all the same', async () => {
    const cut = { afterBytes: MiB, times: 2 };
    relay = await startFtpRelay(server.port, { cut });
    const job = through(relay);
    const { result } = await platform.backup(job);
    expect(cut.times).toBe(0);
    expect(result.snapshot.file_count).toBe(Object.keys(files).length);
    await expectEqual(stored(job));
  });

  it('one that is always reset: the file is not stored short, and the run does not count as good', async () => {
    relay = await startFtpRelay(server.port, { cut: { afterBytes: 4096, times: Number.POSITIVE_INFINITY } });
    const job = through(relay);
    const ended = await platform.backup(job).then(
      ({ told }) => ({ told, error: null }),
      (error: unknown) => ({ told: null, error }),
    );
    if (ended.told !== null) expect(ended.told.events.at(-1)).toMatchObject({ code: 'COMPLETED_WARNING' });
    else expect(ended.error).toMatchObject({ retryable: true });
    await expect(readFile(join(stored(job), 'large.bin'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('a run that is cancelled leaves nothing open', async () => {
    const own = await startFtpRelay(server.port);
    relay = own;
    const cancel = new AbortController();
    const reason = new Error('cancelled by the test');
    const running = platform.failedBackup(through(own, { bandwidth_limit_bps: 512 * 1024 }), cancel.signal);
    await until('the transfer', () => own.bytesToClients() > MiB / 2);
    cancel.abort(reason);
    expect((await running).error).toBe(reason);
    await until('all connections to end', () => own.open() === 0);
  });
});
