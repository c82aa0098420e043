import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import type { SpecInput } from '@xvault/shared/run-kinds.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy, type TcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RunBandwidth } from '../lanes/run-bandwidth.ts';
import type { RunContext } from './handler.ts';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { crypt, folderOf, jobOf, local, restoreTo, toServer } from './sync-places.test-kit.ts';
import { handleSyncValidation } from './sync-snapshot.ts';

const run = promisify(execFile);
const mib = 1024 * 1024;
const content = randomBytes(24 * mib);
let platform: SyncPlatform;
let sshd: TestSshd;
beforeAll(async () => {
  [platform, sshd] = await Promise.all([makeSyncPlatform(), startSshd()]);
});
afterAll(() => Promise.all([platform?.remove(), sshd?.stop()]));

let proxy: TcpProxy;
beforeEach(async () => {
  proxy = await startTcpProxy(sshd.port);
});
afterEach(() => proxy.close());

describe.each([{ encrypted: false }, { encrypted: true }])(
  'a version on a server, encrypted: $encrypted',
  ({ encrypted }) => {
    async function made() {
      const path = await folderOf(platform, { 'big.bin': content, 'a.txt': 'a' });
      const job = jobOf(local(path), toServer(sshd, { port: proxy.port }), encrypted ? { crypt } : {});
      return { job, version: await platform.backup(job) };
    }

    async function validate({ job, version }: Awaited<ReturnType<typeof made>>) {
      const snapshot = platform.refOf(job, version.result);
      const spec: SpecInput<'validation'> = { kind: 'validation', snapshot, level: 'full' };
      const secrets = { destination: job.destination.secret, crypt: job.crypt ?? null };
      const { context } = await platform.contextOf<'validation'>(spec, secrets);
      const slowly = { ...context, bandwidth: new RunBandwidth(8 * mib) } as RunContext<'validation'>;
      return handleSyncValidation(slowly, platform.deps);
    }

    async function onceSomeIsRead(act: () => void): Promise<void> {
      const begun = proxy.bytesToClients();
      await until('some of it', () => proxy.bytesToClients() > begun + 6 * mib);
      act();
    }

    it('a connection that breaks while it is read is no broken version', async () => {
      const stored = await made();
      const cutting = onceSomeIsRead(() => proxy.cut());
      expect(await validate(stored)).toMatchObject({ verdict: 'success', files_checked: 2, differing: [] });
      await cutting;
    });

    // It waits for long, and no key changes anything in it.
    if (!encrypted) {
      it('a server that goes away while it is read is told as that', async () => {
        const stored = await made();
        const going = onceSomeIsRead(() => void proxy.close());
        await expect(validate(stored)).rejects.toMatchObject({ code: 'STORAGE_UNREACHABLE', retryable: true });
        await going;
        proxy = await startTcpProxy(sshd.port);
      });
    }

    it('an export goes on where the connection broke', async () => {
      const { job, version } = await made();
      const cutting = onceSomeIsRead(() => proxy.cut());
      const { result, exportId } = await restoreTo(platform, job, version, {
        target: { type: 'export', format: 'tar.zst' },
      });
      await cutting;
      expect(result).toMatchObject({ file_count: 2, bytes: content.length + 1 });
      const file = platform.deps.shelf.file(exportId, result.export?.file_name ?? '');
      const { stdout } = await run('tar', ['-xOf', file, 'big.bin'], {
        encoding: 'buffer',
        maxBuffer: 2 * content.length,
      });
      expect(stdout.equals(content)).toBe(true);
    });
  },
);
