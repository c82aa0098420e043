import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, open, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DirectFile } from './direct-file.ts';
import { LocalFileWriter } from './local-fs-files.ts';

const mebibyte = 1024 * 1024;
const folders: string[] = [];
beforeAll(async () => {
  for (const parent of [tmpdir(), '/dev/shm']) folders.push(await mkdtemp(join(parent, 'xvault-direct-')));
});
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

const hashOf = (data: Buffer) => createHash('sha256').update(data).digest('hex');

describe.each([0, 1])('direct writes in folder %i', (at) => {
  it.each([0, 1, 4096, 4 * mebibyte - 1, 4 * mebibyte, 4 * mebibyte + 1, 13 * mebibyte + 777])(
    'store %i bytes as they are, in whatever pieces they come',
    async (size) => {
      const path = join(folders[at] ?? '', `file-${size}`);
      const data = randomBytes(size);
      const handle = await open(path, 'wx', 0o600);
      const writer = new LocalFileWriter(handle, path, await DirectFile.open(handle, path));
      const piece = Buffer.alloc(700_001);
      for (let from = 0; from < size; from += piece.length) {
        // Used again at once, as the encrypter does.
        const length = data.copy(piece, 0, from);
        await writer.write(piece.subarray(0, length));
      }
      await writer.close();
      expect(writer.durable).toBe(true);
      expect(hashOf(await readFile(path))).toBe(hashOf(data));
    },
  );
});

it('is offered by the disk of this machine', async () => {
  const path = join(folders[0] ?? '', 'offered');
  const handle = await open(path, 'wx');
  const direct = await DirectFile.open(handle, path);
  expect(direct).toBeDefined();
  await direct?.discard();
  await handle.close();
});

it('tells a full disk, and lets go of the file', async () => {
  const handle = await open('/dev/full', 'w');
  // A device of characters takes no direct writes, or takes them and is full: either way nothing is lost silently.
  const writer = new LocalFileWriter(handle, '/dev/full', await DirectFile.open(handle, '/dev/full'));
  const filling = async () => {
    for (let number = 0; number < 4; number += 1) await writer.write(Buffer.alloc(4 * mebibyte));
    await writer.close();
  };
  await expect(filling()).rejects.toMatchObject({ code: 'STORAGE_FULL' });
  await writer.discard();
});
