import { execFile } from 'node:child_process';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { NotesRequest } from '@xvault/shared/internal-api.ts';
import type { SpecInput } from '@xvault/shared/run-kinds.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openRunWithToken } from '../engines/sync/oauth/hand-on-token.ts';
import { openStorage } from '../storage/open-storage.ts';
import { handleSyncBackup } from './sync-backup.ts';
import { makeSyncPlatform, type SyncJob, type SyncPlatform } from './sync-context.test-kit.ts';
import { crypt, disk, folderOf, jobOf, local, overSftp, toServer } from './sync-places.test-kit.ts';
import { withSync } from './sync-run.ts';
import { handleSyncValidation } from './sync-snapshot.ts';

const run = promisify(execFile);
let platform: SyncPlatform;
let sshd: TestSshd;
beforeAll(async () => {
  [platform, sshd] = await Promise.all([makeSyncPlatform(), startSshd()]);
});
afterAll(() => Promise.all([platform?.remove(), sshd?.stop()]));

function specOf({ source, destination, jobId, crypt: key }: SyncJob): SpecInput<'backup'> {
  return {
    kind: 'backup',
    job_id: jobId,
    source_id: 'source',
    source: source.connection,
    destination_id: 'destination',
    destination: destination.connection,
    engine: 'sync',
    options: {},
    sync: { encryption: key !== undefined },
    recipients: ['age1unused'],
  };
}

async function withFullDisk<T>(work: (path: string) => Promise<T>): Promise<T> {
  const small = await mkdtemp(join(platform.root, 'small-'));
  await run('mount', ['-t', 'tmpfs', '-o', 'size=16k', 'tmpfs', small]);
  try {
    await writeFile(join(small, 'full'), Buffer.alloc(64 * 1024)).catch(() => null);
    return await work(small);
  } finally {
    await run('umount', [small]);
  }
}

describe('a validation', () => {
  it.each([
    ['quick', 'validation_passed_listed'],
    ['full', 'validation_passed'],
  ] as const)('%s says no more than it has looked at', async (level, message_id) => {
    const job = jobOf(local(await folderOf(platform, { a: 'a' })));
    const made = await platform.backup(job);
    const spec: SpecInput<'validation'> = { kind: 'validation', snapshot: platform.refOf(job, made.result), level };
    const { context, told } = await platform.contextOf<'validation'>(spec, {});
    await handleSyncValidation(context, platform.deps);
    expect(told.events.at(-1)).toMatchObject({ message_id, params: { files: 1, bytes: 1 } });
  });
});

describe('keys that cannot be opened', () => {
  const opened = async (job: SyncJob, destination: unknown, key: unknown, sealed?: string) => {
    const { context } = await platform.contextOf<'backup'>(specOf(job), { destination, crypt: key as null });
    const start = { ...context.start, ...(sealed !== undefined && { destination_secret_sealed: sealed }) };
    return handleSyncBackup({ ...context, start }, platform.deps);
  };

  it('of the destination are told as the destination’s', async () => {
    const job = jobOf(local(await folderOf(platform, { a: 'a' })), toServer(sshd));
    const code = 'ERR_DECRYPT_DEST_SECRET_KEY';
    await expect(opened(job, null, null)).rejects.toMatchObject({ code });
    await expect(opened(job, { other: 1 }, null)).rejects.toMatchObject({ code });
    await expect(opened(job, null, null, 'AAAA')).rejects.toMatchObject({ code });
  });

  it('of the job are told as the job’s', async () => {
    const job = jobOf(local(await folderOf(platform, { a: 'a' })), disk, { crypt });
    await expect(opened(job, null, null)).rejects.toMatchObject({ code: 'ERR_DECRYPT_CRYPT_KEY' });
    await expect(opened(job, null, { other: 1 })).rejects.toMatchObject({ code: 'ERR_DECRYPT_CRYPT_KEY' });
  });

  it('of a bucket say which of its keys is missing, also for archives', async () => {
    const config = { endpoint: 'http://127.0.0.1:9', region: 'r', bucket: 'bucket' };
    const job = jobOf(local('/'), disk);
    const spec = specOf({ ...job, destination: { connection: { type: 's3', config } as never } });
    const storing = async (secret: unknown) => {
      const { context } = await platform.contextOf<'backup'>(spec, { destination: secret });
      const { destination_secret_sealed: sealed } = context.start;
      const { destination } = context.spec;
      return openStorage({ destination, sealed, signal: context.signal }, platform.deps);
    };
    await expect(storing({ secret_access_key: 'x' })).rejects.toMatchObject({ code: 'ERR_DECRYPT_DEST_ACCESS_KEY' });
    await expect(storing({ access_key_id: 'x' })).rejects.toMatchObject({ code: 'ERR_DECRYPT_DEST_SECRET_KEY' });
    await expect(storing(null)).rejects.toMatchObject({ code: 'ERR_DECRYPT_DEST_SECRET_KEY' });
  });
});

describe('an rclone that does not start', () => {
  it.each([
    ['is not there', null, { code: 'SYNC_TOOL_UNSUITABLE', retryable: false }],
    ['ends at once', '#!/bin/sh\nexit 1\n', { code: 'ERR_RCLONE_START', retryable: true }],
  ])('because it %s is told as that', async (_, script, expected) => {
    const path = join(await mkdtemp(join(platform.root, 'bin-')), 'rclone');
    if (script !== null) await writeFile(path, script, { mode: 0o755 });
    const { context } = await platform.contextOf<'backup'>(specOf(jobOf(local('/etc'))), {});
    const deps = { ...platform.deps, config: { ...platform.config, XVAULT_RCLONE: path } };
    await expect(handleSyncBackup(context, deps)).rejects.toMatchObject(expected);
  });
});

describe('no room for what a run keeps on the worker', () => {
  const expected = { code: 'ERR_WRITE_RCLONE_CONFIG', retryable: true };
  const destination = { connection: disk.connection, sealed: null, prefix: 'tenants/tenant/elsewhere' };

  it('is told as that before rclone starts', async () => {
    const { remote } = await sideOf();
    await withFullDisk(async (path) => {
      const opening = openRunWithToken(
        {
          binary: 'rclone',
          directory: { path, remove: async () => undefined },
          guard: platform.deps.guard,
          source: { remote, listsMtimes: true, close: async () => undefined },
          crypt: null,
          onLine: () => undefined,
          signal: new AbortController().signal,
        },
        () => undefined,
      );
      await expect(opening).rejects.toMatchObject(expected);
    });
  });

  it('is told as that while it works', async () => {
    const { context } = await platform.contextOf<'backup'>(specOf(jobOf(local('/etc'))), {});
    const working = withSync(context, platform.deps, { destination, crypt: null }, () =>
      withFullDisk((path) => writeFile(join(path, 'list.txt'), Buffer.alloc(64 * 1024))),
    );
    await expect(working).rejects.toMatchObject(expected);
  });

  async function sideOf() {
    const { context } = await platform.contextOf<'backup'>(specOf(jobOf(local('/etc'))), {});
    return withSync(context, platform.deps, { destination, crypt: null }, async (opened) => {
      if (opened.destination === undefined) throw new Error('it was asked for');
      return opened.destination;
    });
  }
});

describe('diagnostics', () => {
  it('say what opened the keys of a run, and no key', async () => {
    const path = await mkdtemp(join(sshd.dataDir, 'to-'));
    await run('chown', [sshd.user.name, path]);
    const job = jobOf(local(await folderOf(platform, { a: 'a' })), toServer(sshd, { path }), { crypt });
    const secrets = { destination: job.destination.secret, crypt };
    const { context } = await platform.contextOf<'backup'>(specOf(job), secrets);
    const seen: Record<string, unknown> = {};
    const keep = async ({ diagnostics }: Pick<NotesRequest, 'diagnostics'>) => {
      Object.assign(seen, diagnostics);
      return { generation: null };
    };
    await handleSyncBackup({ ...context, keep }, platform.deps);
    expect(seen).toEqual({
      'encryptionKeys.source': 'none',
      'encryptionKeys.destination': 'XVAULT_CREDENTIALS_IDENTITY',
      'encryptionKeys.crypt': 'XVAULT_CREDENTIALS_IDENTITY',
      'rclone.version': expect.stringMatching(/^v1\./),
    });
    const from = jobOf(overSftp(sshd));
    const failing = await platform.contextOf<'backup'>(specOf(from), { source: { password: 'wrong' } });
    await expect(handleSyncBackup({ ...failing.context, keep }, platform.deps)).rejects.toThrow();
    expect(seen).toMatchObject({ 'encryptionKeys.source': 'XVAULT_CREDENTIALS_IDENTITY' });
    expect(JSON.stringify(seen)).not.toContain(crypt.password);
  });
});
