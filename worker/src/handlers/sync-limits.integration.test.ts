import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '@xvault/shared/ids.ts';
import type { RunKind, SpecInput } from '@xvault/shared/run-kinds.ts';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { RunBandwidth } from '../lanes/run-bandwidth.ts';
import type { RunContext } from './handler.ts';
import { handleSyncBackup } from './sync-backup.ts';
import { makeSyncPlatform, type SyncPlatform } from './sync-context.test-kit.ts';
import { disk, folderOf, jobOf, local } from './sync-places.test-kit.ts';
import { withSync } from './sync-run.ts';
import { handleSyncRestore, handleSyncValidation } from './sync-snapshot.ts';

const mib = 1024 * 1024;
const content = Buffer.alloc(16 * mib, 'contents');
/** Without a limit all of it is read within a fraction of that. */
const lookAfterMs = 2000;
const rateAnswer = z.object({ bytesPerSecond: z.number() });

let platform: SyncPlatform;
beforeAll(async () => {
  platform = await makeSyncPlatform();
});
afterAll(() => platform?.remove());

async function limited<K extends RunKind>(spec: SpecInput<K>, limitBps: number | null) {
  const { context, told } = await platform.contextOf<K>(spec, { crypt: null });
  const bandwidth = new RunBandwidth(limitBps);
  return { context: { ...context, bandwidth } as RunContext<K>, bandwidth, told };
}

/** Whether the work goes on while the limit holds; lifts the limit and waits for its end. */
async function endsOnlyWithout(bandwidth: RunBandwidth, work: Promise<unknown>): Promise<boolean> {
  let isOver = false;
  const ended = work.finally(() => {
    isOver = true;
  });
  await Promise.race([ended, sleep(lookAfterMs)]);
  const wasOver = isOver;
  bandwidth.set(null);
  await ended;
  return !wasOver;
}

async function madeVersion() {
  const job = jobOf(local(await folderOf(platform, { large: content })));
  return platform.refOf(job, (await platform.backup(job)).result);
}

describe('what the Hub allows a run', () => {
  it('holds for a backup, and its change is told', async () => {
    const path = await folderOf(platform, { large: content });
    const spec: SpecInput<'backup'> = {
      kind: 'backup',
      job_id: newId(),
      source_id: 'source',
      source: local(path).connection,
      destination_id: 'destination',
      destination: disk.connection,
      engine: 'sync',
      options: {},
      sync: {},
      recipients: ['age1unused'],
    };
    const { context, bandwidth, told } = await limited(spec, mib);
    expect(await endsOnlyWithout(bandwidth, handleSyncBackup(context, platform.deps))).toBe(true);
    expect(told.events).toContainEqual(
      expect.objectContaining({ code: 'BANDWIDTH_CHANGED', params: { limit_bps: null } }),
    );
  });

  it('holds for restores', async () => {
    const target = join(platform.root, newId());
    const spec: SpecInput<'restore'> = {
      kind: 'restore',
      snapshot: await madeVersion(),
      paths: null,
      target: { type: 'directory', path: target },
      export_id: null,
      export_expires_at: null,
    };
    const { context, bandwidth } = await limited(spec, mib);
    expect(await endsOnlyWithout(bandwidth, handleSyncRestore(context, platform.deps))).toBe(true);
    expect(content.equals(await readFile(join(target, 'large')))).toBe(true);
  });

  it('holds for exports', async () => {
    const spec: SpecInput<'restore'> = {
      kind: 'restore',
      snapshot: await madeVersion(),
      paths: null,
      target: { type: 'export', format: 'tar.zst' },
      export_id: newId(),
      export_expires_at: new Date(Date.now() + 3_600_000).toISOString(),
    };
    const { context, bandwidth } = await limited(spec, mib);
    expect(await endsOnlyWithout(bandwidth, handleSyncRestore(context, platform.deps))).toBe(true);
  });

  it('holds for validations', async () => {
    const spec: SpecInput<'validation'> = { kind: 'validation', snapshot: await madeVersion(), level: 'full' };
    const { context, bandwidth } = await limited(spec, mib);
    const work = handleSyncValidation(context, platform.deps);
    expect(await endsOnlyWithout(bandwidth, work)).toBe(true);
    expect(await work).toMatchObject({ verdict: 'success' });
  });

  it('is what rclone has at every moment: the smaller of two, also when it changes while rclone is told', async () => {
    const spec: SpecInput<'validation'> = { kind: 'validation', snapshot: await madeVersion() };
    const { context, bandwidth } = await limited(spec, 5 * mib);
    let isFirst = true;
    const changing = {
      get limitBps() {
        if (isFirst) setImmediate(() => bandwidth.set(3 * mib));
        isFirst = false;
        return bandwidth.limitBps;
      },
      onChange: (listener: () => void) => bandwidth.onChange(listener),
    };
    const destination = { connection: disk.connection, sealed: null, prefix: 'tenants/tenant/elsewhere' };
    const request = { destination, crypt: null, limitBps: 4 * mib };
    await withSync({ ...context, bandwidth: changing }, platform.deps, request, async ({ run }) => {
      const rate = async () => rateAnswer.parse(await run.rclone.rc.call('core/bwlimit', {})).bytesPerSecond;
      const becomes = (bytes: number) => vi.waitFor(async () => expect(await rate()).toBe(bytes), 5000);
      await becomes(3 * mib);
      bandwidth.set(10 * mib);
      await becomes(4 * mib);
      for (const bytes of [mib, 2 * mib, null, 3 * mib, 2 * mib]) bandwidth.set(bytes);
      await becomes(2 * mib);
      bandwidth.set(null);
      await becomes(4 * mib);
    });
  });
});
