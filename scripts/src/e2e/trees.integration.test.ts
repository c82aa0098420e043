import { execFile } from 'node:child_process';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { compareTrees } from '@xvault/shared/testing/compare-trees.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AwkwardTree, describeDeepTree, makeAwkwardTree, makeDeepTree } from './awkward-tree.ts';
import { type E2e, startE2e } from './fixture.ts';

const run = promisify(execFile);
let e2e: E2e;
beforeAll(async () => {
  e2e = await startE2e();
});
afterAll(() => e2e.stop());

async function backUpAndRestore(name: string): Promise<{ status: string; codes: string[]; restored: string }> {
  const { customer, folder } = e2e;
  const source = await customer.source({ type: 'local', config: { path: join(folder, name) } });
  const backup = await customer.backUp(await customer.job(source));
  const codes = (await customer.events(backup.id))
    .map((event) => event.code)
    .filter((code) => code.startsWith('ITEM_'));
  const restored = join(folder, `${name} restored`);
  const target = { type: 'directory', path: restored, allow_setuid: true };
  expect(backup.snapshot_id, backup.error_summary ?? '').not.toBeNull();
  const restore = await customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, { paths: null, target });
  expect(restore.error_code).toBeNull();
  expect(restore.status).toBe('success');
  const validation = await customer.post(`/api/v1/snapshots/${backup.snapshot_id}/validate`, {});
  expect(validation.status).toBe('success');
  expect((await customer.snapshot(backup.snapshot_id ?? '')).validation_status).toBe('success');
  return { status: backup.status, codes, restored };
}

test('every kind of name, mode, link and time comes back equal; what cannot be stored is a warning each', async () => {
  const original = join(e2e.folder, 'awkward');
  const tree: AwkwardTree = await makeAwkwardTree(original);
  const { status, codes, restored } = await backUpAndRestore('awkward');
  expect(status).toBe('warning');
  expect(codes).toEqual(tree.unsupported.map(() => 'ITEM_UNSUPPORTED'));
  const comparison = await compareTrees(original, restored, { owners: process.getuid?.() === 0 });
  expect(comparison.differences).toEqual([]);
  expect(comparison.files).toBeGreaterThan(4100);
  expect((await stat(join(restored, 'sparse'))).size).toBe(5 * 2 ** 30);
  await tree.close();
}, 480_000);

test('paths of more than 4,096 bytes come back equal', async () => {
  const original = join(e2e.folder, 'deep');
  await makeDeepTree(original);
  const { status, codes, restored } = await backUpAndRestore('deep');
  expect([status, codes]).toEqual(['success', []]);
  expect(await describeDeepTree(restored)).toBe(await describeDeepTree(original));
});

test('chosen paths alone are restored, with the directories above them', async () => {
  const { customer, folder } = e2e;
  const original = join(folder, 'chosen');
  await mkdir(join(original, 'a', 'b'), { recursive: true });
  for (const name of ['a/one', 'a/b/two', 'a/b/three', 'four']) await writeFile(join(original, name), name);
  const source = await customer.source({ type: 'local', config: { path: original } });
  const backup = await customer.backUp(await customer.job(source));
  const target = { type: 'directory', path: join(folder, 'chosen restored') };
  const body = { paths: ['a/b', 'four'], target };
  const restore = await customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, body);
  expect(restore.status).toBe('success');
  const found = await run('find', ['.', '-type', 'f'], { cwd: target.path });
  expect(found.stdout.trim().split('\n').sort()).toEqual(['./a/b/three', './a/b/two', './four']);
  const again = await customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, body);
  expect([again.status, again.error_code]).toEqual(['failed', 'RESTORE_TARGET_NOT_EMPTY']);
  const other = { paths: ['nothing like it'], target: { type: 'directory', path: join(folder, 'other') } };
  const missing = await customer.post(`/api/v1/snapshots/${backup.snapshot_id}/restore`, other);
  expect([missing.status, missing.error_code]).toEqual(['failed', 'RESTORE_PATH_NOT_FOUND']);
});
