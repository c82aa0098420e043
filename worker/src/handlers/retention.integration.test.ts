import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SnapshotRef, snapshotRef } from '@xvault/shared/snapshots.ts';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readWorkerConfig } from '../config.ts';
import { createLocalFsStorage, localPathOf } from '../storage/local-fs.ts';
import { type SnapshotStorage, snapshotFiles } from '../storage/storage.ts';
import type { RunContext } from './handler.ts';
import { handleRetention } from './retention.ts';

const place = { tenantId: 'tenant', sourceId: 'source', snapshotId: 'snapshot' };
let root: string;
let storage: SnapshotStorage;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'xvault-retention-'));
  storage = createLocalFsStorage(root);
  for (const snapshotId of ['snapshot', 'other']) {
    const pending = await storage.create({ ...place, snapshotId }, 1);
    for (const name of Object.values(snapshotFiles)) {
      const file = await pending.createFile(name);
      await file.write(Buffer.from(name));
      await file.close();
    }
    await pending.commit();
  }
});
afterEach(() => rm(root, { recursive: true }));

function context(more: Partial<SnapshotRef> = {}, signal = new AbortController().signal) {
  const snapshot: SnapshotRef = snapshotRef.parse({
    snapshot_id: place.snapshotId,
    source_id: place.sourceId,
    locator: { storage_backend: 'local_fs', worker_id: 'w1', local_path: localPathOf(place) },
    artifact_bytes: 1,
    artifact_sha256: 'a'.repeat(64),
    index_bytes: 1,
    index_sha256: 'b'.repeat(64),
    ...more,
  });
  const spec = { kind: 'retention', snapshot, keep_versions: [] as string[] } as const;
  const start = {
    run_id: 'run',
    tenant_id: place.tenantId,
    kind: 'retention',
    attempt: 1,
    epoch: 1,
    lease_token: 'token',
    lease_ms: 90_000,
    spec,
    snapshot_id: null,
    source_secret_sealed: null,
    destination_secret_sealed: null,
    target_secret_sealed: null,
    tenant_identities_sealed: [] as string[],
    run_identity_sealed: null,
    bandwidth_limit_bps: null,
  } as const;
  const nothing = () => undefined;
  const logger = pino({ level: 'silent' });
  return {
    start,
    spec,
    signal,
    bandwidth: { limitBps: null, onChange: () => nothing },
    logger,
    emit: nothing,
    progress: nothing,
    countWarning: nothing,
    note: nothing,
    keep: async () => ({ generation: null }),
  } as RunContext<'retention'>;
}

function depsOf(workerId: string) {
  const config = readWorkerConfig({
    XVAULT_HUB_URL: 'http://127.0.0.1:1',
    XVAULT_REDIS_URL: 'redis://127.0.0.1:1',
    XVAULT_ENROLMENT_TOKEN: 'x'.repeat(32),
    XVAULT_CREDENTIALS_IDENTITY: 'AGE-SECRET-KEY-1XVAULT',
  });
  return { storage, workerId, config };
}

async function stored(): Promise<string[]> {
  const found: string[] = [];
  for await (const item of storage.list()) found.push(item.place.snapshotId);
  return found.sort();
}

test('removes the snapshot and no other; bytes that are gone already are no error', async () => {
  const deps = depsOf('w1');
  expect(await handleRetention(context(), deps)).toEqual({ kind: 'retention' });
  expect(await stored()).toEqual(['other']);
  expect(await handleRetention(context(), deps)).toEqual({ kind: 'retention' });
  expect(await stored()).toEqual(['other']);
});

test('removes nothing that is another worker’s, another tenant’s or another source’s', async () => {
  const missing = { code: 'ARTIFACT_MISSING' };
  await expect(handleRetention(context(), depsOf('w2'))).rejects.toMatchObject(missing);
  const deps = depsOf('w1');
  await expect(handleRetention(context({ source_id: 'other' }), deps)).rejects.toMatchObject(missing);
  const local_path = localPathOf({ ...place, tenantId: 'stranger' });
  const locator = { storage_backend: 'local_fs', worker_id: 'w1', local_path } as const;
  await expect(handleRetention(context({ locator }), deps)).rejects.toMatchObject(missing);
  expect(await stored()).toEqual(['other', 'snapshot']);
});

test('removes nothing once the run is stopped', async () => {
  const stopped = context({}, AbortSignal.abort(new Error('stopped')));
  await expect(handleRetention(stopped, depsOf('w1'))).rejects.toThrow('stopped');
  expect(await stored()).toEqual(['other', 'snapshot']);
});
