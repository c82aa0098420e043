import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ManifestEntry, readManifest, writeManifest } from './manifest.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xvault-manifest-test-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const entries: ManifestEntry[] = Array.from({ length: 40 }, (_, at) => ({
  path: `a${at}\n${Math.sin(at)}`,
  size: at,
  mtime: null,
  hashes: { md5: String(Math.cos(at)) },
}));
const head = {
  version: '00000001-1',
  job_id: 'job',
  run_id: 'run',
  mode: 'sync',
  encrypted: false,
  created_at: '2026-01-01T00:00:00.000Z',
  object_count: entries.length,
  total_bytes: 780,
} as const;

it('reads what was written', async () => {
  const path = join(folder, 'manifest');
  await writeManifest(path, head, entries);
  const read = await readManifest(path);
  expect(read.header).toEqual(head);
  expect([...read.entries.values()].sort((a, b) => a.size - b.size)).toEqual(entries);
});

it('what is cut short anywhere, or damaged, is broken', async () => {
  const path = join(folder, 'manifest');
  await writeManifest(path, head, entries);
  const whole = await readFile(path);
  for (let length = 0; length < whole.length; length += 29) {
    await writeFile(path, whole.subarray(0, length));
    await expect(readManifest(path), `${length} bytes`).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
  }
  const flipped = Buffer.from(whole);
  flipped[200] = (flipped[200] ?? 0) ^ 0x10;
  for (const content of [flipped, Buffer.alloc(whole.length), gzipSync('not json'), gzipSync('{"format":"other"}')]) {
    await writeFile(path, content);
    await expect(readManifest(path)).rejects.toMatchObject({ code: 'SYNC_VERSION_BROKEN' });
  }
});

it('a file of the worker that cannot be read says nothing of the version', async () => {
  await expect(readManifest(join(folder, 'none'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(readManifest(folder)).rejects.toMatchObject({ code: 'EISDIR' });
});
