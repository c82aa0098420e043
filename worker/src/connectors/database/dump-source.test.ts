import { createHash, randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { isSkipped } from '../connector.ts';
import { DumpSource } from './dump-source.ts';

const never = new AbortController().signal;
const description = {
  format: 'xvault-database',
  format_version: 1,
  name: 'shop',
  engine: 'mariadb',
  server_version: '11.4',
  tool: 'mariadb-dump',
  tool_version: '11.4',
  flags: [],
  character_set: 'utf8mb4',
  collation: 'utf8mb4_bin',
  dump: { file: 'dump.sql', format: 'sql', part_bytes: 8_388_608 },
  estimated_bytes: 1,
} as const;

test('a part that is opened as a large file comes whole and hashed, with the same bytes as a stream', async () => {
  const parts = [randomBytes(5_000_000), randomBytes(300_000)];
  const sha256 = parts.map((part) => createHash('sha256').update(part).digest());
  async function* dump() {
    // One hashed where it was read, one not.
    yield { data: Buffer.from(parts[0] ?? ''), ...(sha256[0] && { sha256: sha256[0] }) };
    yield { data: Buffer.from(parts[1] ?? '') };
  }
  const units = [{ description: { ...description, flags: [] }, dump }];
  const source = new DumpSource({ units, mayVanish: false, extra: null });
  let at = 0;
  for await (const item of source.list(never)) {
    if (isSkipped(item) || !item.path.toString().includes('dump.sql')) continue;
    const stream = await source.open(item);
    expect(stream.entry).toBe(item);
    expect(stream.whole?.data.equals(parts[at] ?? Buffer.alloc(0))).toBe(true);
    expect(stream.whole?.sha256).toEqual(sha256[at]);
    const chunks: Buffer[] = [];
    for await (const chunk of stream.chunks) chunks.push(chunk);
    expect(Buffer.concat(chunks).equals(parts[at] ?? Buffer.alloc(0))).toBe(true);
    await stream.close();
    at += 1;
  }
  expect(at).toBe(2);
});
