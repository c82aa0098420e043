import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { never, temporaryFolder } from '../../artifact/codec.test-kit.ts';
import { CompressPool } from '../../artifact/compress-pool.ts';
import type { SourceSession } from '../../connectors/connector.ts';
import { createLocalConnector } from '../../connectors/local/connector.ts';
import { Packer } from './backup-pack.ts';
import { mostItems } from './batch-items.ts';
import { packSource } from './pack-source.ts';

const batches = 20;
const pool = new CompressPool(2);
let session: SourceSession;

beforeAll(async () => {
  const { path } = await temporaryFolder();
  for (let folder = 0; folder < batches; folder += 1) {
    mkdirSync(join(path, `folder-${folder}`));
    for (let file = 1; file < mostItems; file += 1) writeFileSync(join(path, `folder-${folder}`, `file-${file}`), '');
  }
  session = await createLocalConnector({ allowedRoots: [path] }).connect({ path }, {}, never);
});
afterAll(async () => {
  await session.close();
  await pool.close();
});

test('however many entries there are, their memory is that of a few batches', async () => {
  const packer = new Packer({ session, pool, compressionLevel: 1, signal: never });
  const seen = new Set<object>();
  let entries = 0;
  let paths = 0;
  for await (const item of packSource(session, packer, { oneFileSystem: false, signal: never })) {
    if (item.kind !== 'packed') throw new Error('a tree of small files is packed');
    seen.add(item.batch);
    entries += item.batch.count;
    expect(item.packed.frame.done).toBe(item.batch.count);
    // None of them is another batch's by now.
    paths += new Set(Array.from({ length: item.batch.count }, (_, at) => item.batch.at(at).path.toString())).size;
    packer.release(item.packed);
  }
  expect(entries).toBe(1 + batches * mostItems);
  expect(paths).toBe(entries);
  expect(seen.size).toBeLessThanOrEqual(session.batchesInFlight + 2);
});
