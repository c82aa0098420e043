import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runProgram } from '../../artifact/codec.test-kit.ts';
import { damaged, fuzzRuns } from '../../testing/mutations.ts';
import { TarBytes, TruncatedStream } from './tar-bytes.ts';
import { BadTar } from './tar-fields.ts';
import { TarReader } from './tar-reader.ts';

/** Made by the real program, in each of its formats. */
async function archives(): Promise<Buffer[]> {
  const folder = await mkdtemp(join(tmpdir(), 'xvault-tar-'));
  try {
    const long = 'n'.repeat(120);
    await mkdir(join(folder, 'directory', long), { recursive: true });
    await writeFile(join(folder, 'directory', long, 'file'), 'content');
    await writeFile(join(folder, 'directory', 'large'), Buffer.alloc(3000, 'x'));
    await symlink('l'.repeat(150), join(folder, 'directory', 'link'));
    const make = (...args: string[]) => runProgram('tar', ['-c', '-C', folder, ...args, 'directory']);
    return [
      await make('--format=pax'),
      await make('--format=gnu'),
      await make('--format=pax', '--pax-option=comment=words,path:=other'),
    ];
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function* chunked(data: Buffer, chunkBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < data.length; at += chunkBytes) yield data.subarray(at, at + chunkBytes);
}

function withChecksum(block: Buffer): Buffer {
  block.fill(0x20, 148, 156);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

function header(type: string, sizeBytes: number): Buffer {
  const block = Buffer.alloc(512);
  block.write('name', 0, 'latin1');
  block.write(sizeBytes.toString(8).padStart(11, '0'), 124, 'latin1');
  block.write(type, 156, 'latin1');
  block.write('ustar\x0000', 257, 'latin1');
  return withChecksum(block);
}

/** Entries read, or null where the reader says that the archive is none. */
async function entriesOf(data: Buffer, chunkBytes: number): Promise<number | null> {
  const reader = new TarReader(new TarBytes(chunked(data, chunkBytes)));
  let count = 0;
  try {
    for (let entry = await reader.next(); entry !== undefined; entry = await reader.next()) {
      count += 1;
      if (count > data.length / 512) throw new Error('more entries than headers');
      if (entry.sizeBytes <= data.length && count % 2 === 0) await reader.content();
    }
    return count;
  } catch (error) {
    if (error instanceof BadTar || error instanceof TruncatedStream) return null;
    throw error;
  }
}

describe('damaged tar archives', () => {
  it('are read or refused, and never end the process, hang or ask for memory that they do not fill', async () => {
    for (const good of await archives()) {
      expect(await entriesOf(good, 700)).toBe(5);
      await fc.assert(
        fc.asyncProperty(damaged(good, 512), fc.integer({ min: 1, max: 3000 }), async (bad, chunkBytes) => {
          await entriesOf(bad, chunkBytes);
        }),
        fuzzRuns(400),
      );
    }
  });

  it('with ever more global headers are refused before these fill the memory', async () => {
    async function* endless(): AsyncGenerator<Buffer> {
      for (let number = 0; number < 10_000; number += 1) {
        const rest = ` key${String(number).padStart(6, '0')}=${'v'.repeat(99_000)}\n`;
        const pax = Buffer.from(`${rest.length + 5}${rest}`);
        yield Buffer.concat([header('g', pax.length), pax, Buffer.alloc(512 - (pax.length % 512)), header('0', 0)]);
      }
    }
    const reader = new TarReader(new TarBytes(endless()));
    let entries = 0;
    const reading = async () => {
      while ((await reader.next()) !== undefined) entries += 1;
    };
    await expect(reading()).rejects.toThrow(new BadTar('too many global headers'));
    expect(entries).toBe(64);
  });

  it('of nothing but noise behind a right checksum', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 512, maxLength: 512 }), { maxLength: 6 }),
        async (blocks) => {
          const data = Buffer.concat(
            blocks.map((bytes) => {
              const block = Buffer.from(bytes);
              block.fill(0x20, 148, 156);
              const sum = block.reduce((total, byte) => total + byte, 0);
              block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
              return block;
            }),
          );
          await entriesOf(data, 512);
        },
      ),
      fuzzRuns(1000),
    );
  });
});
