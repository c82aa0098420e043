import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { localPathIn } from '@xvault/shared/snapshots.ts';
import { ownDatabase } from '@xvault/shared/testing/test-databases.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type E2e, startE2e } from './fixture.ts';

const run = promisify(execFile);
const keys = z.object({
  present: z.object({ recipient: z.string(), type: z.string(), held_by: z.string(), snapshots: z.number() }),
  earlier: z.array(z.object({ recipient: z.string(), snapshots: z.number() })),
  snapshots_to_rewrap: z.number(),
});
const accepted = z.object({ run_ids: z.array(z.string()), unreadable: z.number() });
const page = z.object({ entries: z.array(z.object({ path: z.string() })), next_offset: z.number().nullable() });
const shown = z.object({
  validation_level: z.string().nullable(),
  validation_excerpt: z.string().nullable(),
  validation_status: z.string(),
  verified_at: z.string().nullable(),
});

let e2e: E2e;
let jobId: string;
beforeAll(async () => {
  e2e = await startE2e({ databaseUrl: await ownDatabase() });
  const tree = join(e2e.folder, 'tree');
  await mkdir(join(tree, 'docs'), { recursive: true });
  await writeFile(join(tree, 'large'), randomBytes(5 * 2 ** 20));
  await writeFile(join(tree, 'docs', 'Report.txt'), 'words');
  jobId = await e2e.customer.job(await e2e.customer.source({ type: 'local', config: { path: tree } }));
});
afterAll(() => e2e.stop());

async function backUp(): Promise<string> {
  const ended = await e2e.customer.backUp(jobId);
  expect(ended.status).toBe('success');
  return ended.snapshot_id ?? '';
}

async function directoryOf(id: string): Promise<string> {
  const { locator } = await e2e.customer.snapshot(id);
  return join(e2e.platform.dataDir, 'backups', localPathIn(locator));
}

const keysNow = () => e2e.customer.api.get('/api/v1/tenant/keys', keys);
const validated = (id: string) => e2e.customer.api.get(`/api/v1/snapshots/${id}`, shown);

/** Gives all snapshots to the present recipients and waits until that is done. */
async function rewrapAll(): Promise<void> {
  const { run_ids } = await e2e.customer.api.post('/api/v1/tenant/keys/rewrap', undefined, accepted);
  for (const id of run_ids) expect((await e2e.customer.ended(id)).status).toBe('success');
}

async function ageOpens(file: string, identity: string): Promise<boolean> {
  const key = join(e2e.folder, 'identity.txt');
  await writeFile(key, identity, { mode: 0o600 });
  return run('age', ['-d', '-i', key, '-o', '/dev/null', file]).then(
    () => true,
    () => false,
  );
}

test('a rotated key and a rewrapped snapshot: restored, verified, browsed; nothing of the old copy stays', async () => {
  const id = await backUp();
  const oldDirectory = await directoryOf(id);
  await e2e.customer.api.post('/api/v1/tenant/keys/rotate', {}, keys);
  expect(await keysNow()).toMatchObject({ present: { snapshots: 0 }, snapshots_to_rewrap: 1 });
  await rewrapAll();
  const after = await keysNow();
  expect(after).toMatchObject({ present: { snapshots: 1 }, snapshots_to_rewrap: 0, earlier: [{ snapshots: 0 }] });
  const directory = await directoryOf(id);
  expect(directory).not.toBe(oldDirectory);
  const oldIsGone = async () => (await e2e.stored()).every((path) => !oldDirectory.endsWith(path));
  await until('the old copy is removed', oldIsGone);

  for (const level of ['quick', 'full']) {
    const validation = await e2e.customer.post(`/api/v1/snapshots/${id}/validate`, { level });
    expect([level, validation.status]).toEqual([level, 'success']);
    expect(await validated(id)).toMatchObject({ validation_level: level, validation_status: 'success' });
  }
  expect((await validated(id)).validation_excerpt).toContain('2 files');
  const path = `/api/v1/snapshots/${id}/files`;
  const list = async (query: string) =>
    (await e2e.customer.api.get(`${path}?${query}`, page)).entries.map((entry) => entry.path);
  expect((await list('')).sort()).toEqual(['docs', 'large']);
  expect(await list('path=docs')).toEqual(['docs/Report.txt']);
  expect(await list('text=report')).toEqual(['docs/Report.txt']);
  expect(await list('glob=*.txt&max_size_bytes=5')).toEqual(['docs/Report.txt']);
  expect(await list('min_size_bytes=6')).toEqual(['large']);
  expect(await list('modified_before=2001-01-01T00:00:00Z')).toEqual([]);
  const target = { type: 'directory', path: join(e2e.folder, 'restored') };
  expect((await e2e.customer.post(`/api/v1/snapshots/${id}/restore`, { paths: null, target })).status).toBe('success');
  expect(await readFile(join(target.path, 'docs', 'Report.txt'), 'utf8')).toBe('words');
});

test('a key of the customer’s own: the platform opens what it had, until that is rewrapped, and nothing after', async () => {
  const id = await backUp();
  const { identity, recipient } = await generateKeyPair();
  const set = await fetch(`${e2e.platform.hubUrl}/api/v1/tenant/keys/customer`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${e2e.customer.api.token}`, 'content-type': 'application/json' },
    body: JSON.stringify({ recipient }),
  });
  expect(set.status).toBe(200);
  expect(await ageOpens(join(await directoryOf(id), 'backup.tar.zst.enc'), identity)).toBe(false);
  const files = `/api/v1/snapshots/${id}/files`;
  expect((await e2e.customer.api.get(files, page)).entries).toHaveLength(2);
  await rewrapAll();
  expect(await ageOpens(join(await directoryOf(id), 'backup.tar.zst.enc'), identity)).toBe(true);
  await expect(e2e.customer.api.get(files, page)).rejects.toMatchObject({ code: 'TENANT_KEY_UNAVAILABLE' });
  const validation = await e2e.customer.post(`/api/v1/snapshots/${id}/validate`, {});
  expect(validation.status).toBe('success');
  expect((await validated(id)).validation_excerpt).toContain('not opened');
  // The identity was never given to the platform.
  const logs = join(e2e.platform.dataDir, 'logs');
  for (const name of await readdir(logs)) expect(await readFile(join(logs, name), 'utf8')).not.toContain(identity);
});
