import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { copyFile, mkdir, open, readdir, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type ErrorCode, errorCatalogue } from '@xvault/shared/errors.ts';
import { generateKeyPair, seal } from '@xvault/shared/sealing.ts';
import { localPathIn } from '@xvault/shared/snapshots.ts';
import { ownDatabase } from '@xvault/shared/testing/test-databases.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type E2e, startE2e } from './fixture.ts';

const run = promisify(execFile);
const artifact = 'backup.tar.zst.enc';
let e2e: E2e;
let databaseUrl: string;
let sourceId: string;

beforeAll(async () => {
  databaseUrl = await ownDatabase();
  e2e = await startE2e({ databaseUrl });
  const tree = join(e2e.folder, 'tree');
  await mkdir(tree);
  await writeFile(join(tree, 'large'), randomBytes(9 * 2 ** 20));
  await writeFile(join(tree, 'small'), 'small');
  sourceId = await e2e.customer.source({ type: 'local', config: { path: tree } });
});
afterAll(() => e2e.stop());

async function freshSnapshot(): Promise<{ id: string; directory: string }> {
  const backup = await e2e.customer.backUp(await e2e.customer.job(sourceId));
  const id = backup.snapshot_id ?? '';
  const { locator } = await e2e.customer.snapshot(id);
  return { id, directory: join(e2e.platform.dataDir, 'backups', localPathIn(locator)) };
}

/** The verification says what is wrong and marks the snapshot; a restore fails with the same code and writes nothing. */
async function expectDamage(id: string, code: ErrorCode, status: string, verdict = 'failed'): Promise<void> {
  const validation = await e2e.customer.post(`/api/v1/snapshots/${id}/validate`, {});
  expect([validation.status, validation.error_code]).toEqual(['failed', code]);
  expect(validation.error_summary).toBe(errorCatalogue[code].sentence);
  const after = await e2e.customer.snapshot(id);
  expect([after.validation_status, after.status]).toEqual([verdict, status]);
}

async function expectNoRestore(id: string, code: ErrorCode): Promise<void> {
  const before = await readdir(e2e.folder);
  const target = { type: 'directory', path: join(e2e.folder, `restored ${id}`) };
  const restore = await e2e.customer.post(`/api/v1/snapshots/${id}/restore`, { paths: null, target });
  expect([restore.status, restore.error_code]).toEqual(['failed', code]);
  expect(await readdir(e2e.folder)).toEqual(before);
}

test('one flipped byte is found by the verification', async () => {
  const { id, directory } = await freshSnapshot();
  const file = await open(join(directory, artifact), 'r+');
  const at = Math.floor((await file.stat()).size / 2);
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, at);
  await file.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, at);
  await file.close();
  await expectNoRestore(id, 'ARTIFACT_CORRUPT');
  await expectDamage(id, 'ARTIFACT_CORRUPT', 'corrupt');
});

test('a truncated artifact is found by the verification', async () => {
  const { id, directory } = await freshSnapshot();
  await truncate(join(directory, artifact), (await stat(join(directory, artifact))).size - 1000);
  await expectNoRestore(id, 'ARTIFACT_TRUNCATED');
  await expectDamage(id, 'ARTIFACT_TRUNCATED', 'corrupt');
});

test('a snapshot that is gone is said to be missing', async () => {
  const { id, directory } = await freshSnapshot();
  await rm(directory, { recursive: true });
  await expectNoRestore(id, 'ARTIFACT_MISSING');
  await expectDamage(id, 'ARTIFACT_MISSING', 'missing');
});

test('an artifact of another snapshot in its place is found', async () => {
  const [first, second] = [await freshSnapshot(), await freshSnapshot()];
  await copyFile(join(second.directory, artifact), join(first.directory, artifact));
  await expectDamage(first.id, 'ARTIFACT_CORRUPT', 'corrupt');
});

test('a wrong identity opens nothing and says so, and the snapshot is not called damaged for it', async () => {
  const { id } = await freshSnapshot();
  const stranger = await seal((await generateKeyPair()).identity, await e2e.platform.secrets.read('vault.recipient'));
  const ofTenant = `where tenant_id = '${e2e.customer.tenantId}'`;
  const query = `with old as (select identity_sealed from tenant_keys ${ofTenant})
    update tenant_keys set identity_sealed = '${stranger}' ${ofTenant} returning (select * from old)`;
  const { stdout } = await run('psql', [databaseUrl, '-Atqc', query]);
  await expectNoRestore(id, 'IDENTITY_MISMATCH');
  // Nothing was read, so nothing is known of the snapshot.
  await expectDamage(id, 'IDENTITY_MISMATCH', 'committed', 'not_run');
  const back = `update tenant_keys set identity_sealed = '${stdout.trim()}' ${ofTenant}`;
  await run('psql', [databaseUrl, '-Atqc', back]);
  const validation = await e2e.customer.post(`/api/v1/snapshots/${id}/validate`, {});
  expect([validation.status, validation.error_code]).toEqual(['success', null]);
});
