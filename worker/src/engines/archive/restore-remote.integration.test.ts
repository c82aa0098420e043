import { randomBytes } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { OverwritePolicy } from '@xvault/shared/restore-targets.ts';
import { s3SourceConfig } from '@xvault/shared/source-kinds/s3.ts';
import { sftpConfig } from '@xvault/shared/source-kinds/ssh.ts';
import { startPyftpd } from '@xvault/shared/testing/pyftpd.ts';
import { startSshd } from '@xvault/shared/testing/sshd.ts';
import { sharedS3 } from '@xvault/shared/testing/test-databases.ts';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { pathToText } from '../../artifact/path-text.ts';
import type { SourceSession } from '../../connectors/connector.ts';
import { createFtpConnector } from '../../connectors/ftp/connector.ts';
import { configOf, loopback } from '../../connectors/ftp/ftp.test-kit.ts';
import { createFtpTarget } from '../../connectors/ftp/target.ts';
import { createS3Connector } from '../../connectors/s3/connector.ts';
import { createS3Target } from '../../connectors/s3/target.ts';
import { createSftpConnector } from '../../connectors/sftp/connector.ts';
import { createSftpTarget } from '../../connectors/sftp/target.ts';
import type { TargetSession } from '../../connectors/target.ts';
import { listAll, readLarge, readOne } from '../../testing/sources.ts';
import { artifactOrigin } from './restore-origin.ts';
import { restoreToPlace } from './restore-place.ts';
import { makeSnapshot, type TestFolder, type TestSnapshot, type TreeEntry, testFolder } from './restore-test-kit.ts';

const signal = new AbortController().signal;
const big = randomBytes(3_000_000);
const tree: TreeEntry[] = [
  { path: '.', type: 'directory' },
  { path: 'dir', type: 'directory' },
  { path: 'dir/big', type: 'file', data: big },
  { path: 'dir/deep', type: 'directory' },
  { path: 'dir/deep/naïve note.txt', type: 'file', data: 'note' },
  ...Array.from({ length: 15 }, (_, at) => ({ path: `dir/deep/many ${at}`, type: 'file' as const, data: `${at}` })),
  { path: 'empty', type: 'file' },
  { path: 'other name', type: 'hardlink', target: 'dir/big' },
];
const fileCount = 19;

/** A server, and the ways in which xVault writes to it and reads from it. */
interface Server {
  connect(tag: string): Promise<TargetSession>;
  read(): Promise<SourceSession>;
  stop(): Promise<void>;
}

const servers = {
  async ftp(): Promise<Server> {
    const server = await startPyftpd();
    const [config, secret] = [configOf(server, { path: '/there' }), { password: server.password }];
    return {
      connect: (tag) => createFtpTarget({ guard: loopback }).connectTarget(config, secret, '/there', signal, { tag }),
      read: () => createFtpConnector({ guard: loopback }).connect(config, secret, signal),
      stop: () => server.stop(),
    };
  },
  async s3(): Promise<Server> {
    const server = await sharedS3();
    const { endpoint, accessKey: access_key_id, secretKey: secret_access_key } = server;
    const config = s3SourceConfig.parse({ endpoint, bucket: await server.createBucket(), prefix: 'there' });
    const secret = { access_key_id, secret_access_key };
    return {
      connect: (tag) => createS3Target({ guard: loopback }).connectTarget(config, secret, '/there', signal, { tag }),
      read: () => createS3Connector({ guard: loopback }).connect(config, secret, signal),
      stop: async () => undefined,
    };
  },
  async sftp(): Promise<Server> {
    const server = await startSshd();
    const path = join(server.dataDir, 'there');
    const parsed = sftpConfig.parse({ host: server.host, port: server.port, user: server.user.name, path });
    const config = { ...parsed, host_key: server.fingerprint() };
    const secret = { private_key: server.privateKey };
    return {
      connect: (tag) => createSftpTarget({ guard: loopback }).connectTarget(config, secret, path, signal, { tag }),
      read: () => createSftpConnector({ guard: loopback }).connect(config, secret, signal),
      stop: () => server.stop(),
    };
  },
};

describe.each(Object.keys(servers) as (keyof typeof servers)[])('a restore over %s', (name) => {
  let folder: TestFolder;
  let snapshot: TestSnapshot;
  let server: Server;
  beforeEach(async () => {
    folder = await testFolder();
    await mkdir(join(folder.path, 'notes'));
    snapshot = await makeSnapshot(folder.path, tree);
    server = await servers[name]();
  });
  afterEach(async () => {
    await server?.stop();
    await folder.remove();
  });

  async function restore(
    policy: OverwritePolicy,
    more: { dryRun?: boolean; isRetry?: boolean; connect?: () => Promise<TargetSession> } = {},
  ) {
    const reader = await snapshot.open();
    const failed: string[] = [];
    try {
      const result = await restoreToPlace({
        origin: artifactOrigin(reader, null),
        connect: () => server.connect('run'),
        policy,
        dryRun: false,
        isRetry: false,
        runId: 'run-abcd',
        createdAtMs: Date.now() - 60_000,
        notesDir: join(folder.path, 'notes'),
        signal,
        onFailed: (path, detail) => failed.push(`${pathToText(path)}: ${detail}`),
        ...more,
      });
      return { ...result, failed };
    } finally {
      await reader.close();
    }
  }

  async function contents(): Promise<Map<string, Buffer>> {
    const session = await server.read();
    try {
      const found = new Map<string, Buffer>();
      for (const entry of (await listAll(session, signal)).entries) {
        if (entry.type !== 'file') continue;
        const small = entry.sizeBytes <= session.smallFileBytes;
        const read = small
          ? await readOne(session, entry, signal)
          : { ok: true as const, ...(await readLarge(session, entry, signal)) };
        if (read.ok) found.set(pathToText(entry.path), Buffer.from(read.data));
      }
      return found;
    } finally {
      await session.close();
    }
  }

  it('brings all there, does as the policy says, and a dry run foretells it', async () => {
    const dry = await restore('never', { dryRun: true });
    const first = await restore('never');
    expect(first).toMatchObject({ fileCount, failed: [], actions: dry.actions, bytes: dry.bytes });
    const found = await contents();
    expect(found.size).toBe(fileCount);
    for (const path of ['dir/big', 'other name']) expect([path, found.get(path)?.equals(big)]).toEqual([path, true]);
    expect(String(found.get('dir/deep/naïve note.txt'))).toBe('note');
    expect(found.get('empty')).toHaveLength(0);
    for (let at = 0; at < 15; at += 1) expect(String(found.get(`dir/deep/many ${at}`))).toBe(`${at}`);

    expect(await restore('never')).toMatchObject({ fileCount: 0, failed: [] });
    expect(await restore('always', { dryRun: true })).toMatchObject({ fileCount });
    expect(await restore('always')).toMatchObject({ fileCount, actions: { overwrite: fileCount }, failed: [] });
    expect(await restore('if_newer')).toMatchObject({ fileCount: 0, failed: [] });
    expect(await restore('rename')).toMatchObject({ fileCount, actions: { rename: fileCount }, failed: [] });
    expect((await contents()).size).toBe(2 * fileCount);
    expect(await restore('rename', { isRetry: true })).toMatchObject({ fileCount: 0, failed: [] });
    expect((await contents()).size).toBe(2 * fileCount);
  });

  it('that was killed goes on in the next attempt', async () => {
    let files = 0;
    const dying = async (): Promise<TargetSession> => {
      const real = await server.connect('run');
      const links = real.makeHardlink?.bind(real);
      return {
        abilities: real.abilities,
        writesInFlight: 2,
        stat: (path) => real.stat(path),
        makeDirectory: (path) => real.makeDirectory(path),
        async writeFile(entry, content, until) {
          files += 1;
          if (files > 12) throw new Error('killed');
          await real.writeFile(entry, content, until);
        },
        makeSymlink: (entry) => real.makeSymlink(entry),
        ...(links && { makeHardlink: links }),
        finishDirectory: (entry) => real.finishDirectory(entry),
        close: () => real.close(),
      };
    };
    await expect(restore('rename', { connect: dying })).rejects.toThrow('killed');
    const again = await restore('rename', { isRetry: true });
    expect(again.failed).toEqual([]);
    expect(again.actions.rename).toBeUndefined();
    expect(again.actions.skip).toBeGreaterThan(0);
    const found = await contents();
    expect([...found.keys()].filter((path) => /restored|\.part/.test(path))).toEqual([]);
    expect([found.size, found.get('dir/big')?.equals(big)]).toEqual([fileCount, true]);
  });
});
