import { execFile } from 'node:child_process';
import { chown, mkdir, mkdtemp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { SpecInput } from '@xvault/shared/run-kinds.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSyncPlatform, type SyncPlatform, type WithSecret } from './sync-context.test-kit.ts';
import { crypt, folderOf, jobOf, local, restoreTo, toServer } from './sync-places.test-kit.ts';
import { probeSyncDestination } from './sync-probe.ts';
import { handleSyncRetention, handleSyncValidation } from './sync-snapshot.ts';

const run = promisify(execFile);
let platform: SyncPlatform;
let sshd: TestSshd;

beforeAll(async () => {
  [platform, sshd] = await Promise.all([makeSyncPlatform(), startSshd()]);
});
afterAll(() => Promise.all([platform.remove(), sshd.stop()]));

describe.each([{ encrypted: false }, { encrypted: true }])(
  'to an SFTP server, encrypted: $encrypted',
  ({ encrypted }) => {
    const more = encrypted ? { crypt } : {};

    it('versions are kept, validated, restored and forgotten', async () => {
      const path = await folderOf(platform, { 'a.txt': 'first', 'sub/b.txt': 'b' });
      const job = jobOf(local(path), toServer(sshd), more);
      const first = await platform.backup(job);
      expect(first.result.snapshot.locator).toMatchObject({ storage_backend: 'rclone', worker_id: null });
      await writeFile(join(path, 'a.txt'), 'second, longer');
      const second = await platform.backup(job);
      for (const made of [first, second]) {
        const spec: SpecInput<'validation'> = { kind: 'validation', snapshot: platform.refOf(job, made.result) };
        const secrets = { destination: job.destination.secret, crypt: job.crypt ?? null };
        const { context, told } = await platform.contextOf<'validation'>(spec, secrets);
        const found = await handleSyncValidation(context, platform.deps);
        expect(found).toMatchObject({ verdict: 'success', files_checked: 2, error_code: null });
        expect(told.events.at(-1)).toMatchObject({ type: 'summary', code: 'VALIDATION_PASSED' });
      }
      const target = join(platform.root, newId());
      await restoreTo(platform, job, first, { target: { type: 'directory', path: target } });
      expect(await readFile(join(target, 'a.txt'), 'utf8')).toBe('first');
      const [keep] = [second.result.snapshot.locator].map((locator) => ('version' in locator ? locator.version : ''));
      const spec: SpecInput<'retention'> = {
        kind: 'retention',
        snapshot: platform.refOf(job, first.result),
        keep_versions: [keep ?? ''],
      };
      const secrets = { destination: job.destination.secret, crypt: job.crypt ?? null };
      await handleSyncRetention((await platform.contextOf<'retention'>(spec, secrets)).context, platform.deps);
      await expect(restoreTo(platform, job, first, {})).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
      expect((await restoreTo(platform, job, second, {})).result.file_count).toBe(2);
    });

    it.each(['tar.zst', 'tar.gz', 'zip'] as const)('a version is exported as %s', async (format) => {
      const files = { 'a.txt': 'one', 'sub/b [1].bin': Buffer.alloc(700_000, 'x'), 'sub/empty': '' };
      const job = jobOf(local(await folderOf(platform, files)), toServer(sshd), more);
      const made = await platform.backup(job);
      const { result, exportId, told } = await restoreTo(platform, job, made, { target: { type: 'export', format } });
      expect(result).toMatchObject({ file_count: 3, bytes: 700_003 });
      expect(told.events.at(-1)).toMatchObject({ code: 'RESTORE_DONE', params: { files: 3, bytes: 700_003 } });
      const name = result.export?.file_name ?? '';
      const file = platform.deps.shelf.file(exportId, name);
      expect((await stat(file)).size).toBe(result.export?.size_bytes);
      const out = join(platform.root, newId());
      await mkdir(out);
      if (format === 'zip') await run('unzip', ['-q', file, '-d', out]);
      else await run('tar', ['-x', format === 'tar.gz' ? '-z' : '--zstd', '-f', file, '-C', out]);
      for (const [path, content] of Object.entries(files)) {
        expect((await readFile(join(out, path))).equals(Buffer.from(content)), path).toBe(true);
      }
      const some = await restoreTo(platform, job, made, { target: { type: 'export', format }, paths: ['sub'] });
      expect(some.result.file_count).toBe(2);
    });
  },
);

describe('a test of a server that is to hold versions', () => {
  const probe = async (to: WithSecret<DestinationConnection>) => {
    const { connection } = to;
    const question = { type: 'destination', destination_id: 'd', destination: connection } as const;
    const spec: SpecInput<'probe'> = { kind: 'probe', probe: question };
    const { context } = await platform.contextOf<'probe'>(spec, { destination: to.secret });
    return probeSyncDestination(context, connection, platform.deps);
  };

  it('tells its room, and leaves no file', async () => {
    const path = await mkdtemp(join(sshd.dataDir, 'probe-'));
    await chown(path, sshd.user.uid, sshd.user.gid);
    const { probe: found } = await probe(toServer(sshd, { path }));
    expect(found).toMatchObject({ type: 'destination', free_bytes: expect.any(Number) });
    const left = await readdir(path, { recursive: true, withFileTypes: true });
    expect(left.filter((entry) => entry.isFile())).toEqual([]);
  });

  it('tells what is wrong with it', async () => {
    await expect(probe(toServer(sshd, { path: '/root' }))).rejects.toMatchObject({ code: 'STORAGE_PERMISSION' });
    const wrong = toServer(sshd, {}, { private_key: undefined, password: 'wrong' });
    await expect(probe(wrong)).rejects.toMatchObject({ code: 'STORAGE_AUTH_FAILED' });
  });
});

describe('a server that holds versions', () => {
  it.each([
    ['wrong password', () => toServer(sshd, {}, { private_key: undefined, password: 'wrong' }), 'STORAGE_AUTH_FAILED'],
    ['another key', () => toServer(sshd, { host_key: `SHA256:${'A'.repeat(43)}` }), 'SSH_HOST_KEY_CHANGED'],
    ['forbidden directory', () => toServer(sshd, { path: '/root' }), 'STORAGE_PERMISSION'],
    ['no such host', () => toServer(sshd, { host: 'no-such-host.invalid' }), 'STORAGE_UNREACHABLE'],
  ] as const)('%s', async (_, make, code) => {
    const job = jobOf(local(await folderOf(platform, { 'a.txt': 'a' })), make());
    expect((await platform.failedBackup(job)).error).toMatchObject({ code });
  });

  it('too little room: the run ends before anything is written; room that ends midway is told as that too', async () => {
    const small = await mkdtemp(join(sshd.dataDir, 'small-'));
    await run('mount', ['-t', 'tmpfs', '-o', 'size=3m,mode=777', 'tmpfs', small]);
    try {
      const path = await folderOf(platform, { 'a.txt': 'a' });
      const job = jobOf(local(path), toServer(sshd, { path: small }));
      await platform.backup(job);
      await writeFile(join(path, 'big.bin'), Buffer.alloc(4 * 1024 * 1024));
      const { error } = await platform.failedBackup(job);
      expect(error).toMatchObject({ code: 'STORAGE_FULL', retryable: true });
      await writeFile(join(path, 'big.bin'), Buffer.alloc(2 * 1024 * 1024));
      await writeFile(join(small, 'of somebody else'), Buffer.alloc(1024));
      expect((await platform.backup(job)).result.snapshot.file_count).toBe(2);
      // The old version must be kept too, for which there is no room: what is needed looks less than what is.
      await writeFile(join(path, 'big.bin'), Buffer.alloc(2 * 1024 * 1024 + 1));
      expect((await platform.failedBackup(job)).error).toMatchObject({ code: 'STORAGE_FULL' });
    } finally {
      await run('umount', [small]);
    }
  });
});
