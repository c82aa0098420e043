import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { mixedBytes, never, runProgram } from './codec.test-kit.ts';
import { CompressPool } from './compress-pool.ts';
import { FrameReader } from './frame-reader.ts';
import { FrameWriter } from './frames.ts';
import { encodeSeekTable } from './seek-table.ts';

const pool = new CompressPool(2);
afterAll(() => pool.close());

interface Options {
  readonly frameBytes?: number;
  readonly pieceBytes?: number;
  readonly signal?: AbortSignal;
  readonly sink?: (data: Buffer) => Promise<void>;
}

async function written(content: Buffer, options: Options = {}): Promise<Buffer> {
  const out: Buffer[] = [];
  const sink = options.sink ?? (async (data: Buffer) => void out.push(Buffer.from(data)));
  const signal = options.signal ?? never;
  const writer = new FrameWriter({ pool, frameBytes: options.frameBytes ?? 1000, compressionLevel: 3, sink, signal });
  const pieceBytes = options.pieceBytes ?? 777;
  for (let at = 0; at < content.length; at += pieceBytes) await writer.append(content.subarray(at, at + pieceBytes));
  await writer.finish();
  expect(writer.contentBytes).toBe(content.length);
  return Buffer.concat(out);
}

function opened(stored: Buffer): Promise<FrameReader> {
  return FrameReader.open(stored.length, async (offset, length) => stored.subarray(offset, offset + length));
}

async function rangeOf(reader: FrameReader, offset: number, length: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of reader.range(offset, length, never)) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe('a stream in frames', () => {
  test.each([0, 1, 999, 1000, 1001, 25_000])('of %i bytes opens with zstd and with our reader', async (length) => {
    const content = mixedBytes(length);
    const stored = await written(content);
    const reader = await opened(stored);
    expect(content.equals(await runProgram('zstd', ['-d', '-c'], stored))).toBe(true);
    expect(content.equals(await rangeOf(reader, 0, length))).toBe(true);
    expect([reader.contentBytes, reader.frameCount]).toEqual([length, Math.ceil(length / 1000)]);
  });

  test('is the same whether it comes byte by byte or at once', async () => {
    const content = mixedBytes(5500);
    expect((await written(content, { pieceBytes: 1 })).equals(await written(content, { pieceBytes: 5500 }))).toBe(true);
  });

  test('of full size states the size of each frame', async () => {
    const content = mixedBytes(9 * 1024 * 1024);
    const stored = await written(content, { frameBytes: 4 * 1024 * 1024, pieceBytes: 100_000 });
    const listing = (
      await runProgram('sh', ['-c', 'd=$(mktemp -d) && cat > "$d/a.zst" && zstd -lv "$d/a.zst"; rm -r "$d"'], stored)
    ).toString();
    // zstd sums the sizes up only if every frame has one.
    expect(listing).toContain(`(${content.length} B)`);
    expect(content.equals(await rangeOf(await opened(stored), 0, content.length))).toBe(true);
  });

  test('gives any range', async () => {
    const content = mixedBytes(12_345);
    const reader = await opened(await written(content));
    const range = fc.tuple(fc.nat({ max: content.length }), fc.nat({ max: content.length }));
    await fc.assert(
      fc.asyncProperty(range, async ([a, b]) => {
        const [start, end] = a < b ? [a, b] : [b, a];
        expect(content.subarray(start, end).equals(await rangeOf(reader, start, end - start))).toBe(true);
      }),
    );
    await expect(rangeOf(reader, 12_345, 1)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  });
});

describe('writing', () => {
  test('keeps a bounded number of frames while the sink is slow, in order', async () => {
    const { promise: gate, resolve: open } = Promise.withResolvers<void>();
    const stored: number[] = [];
    const sink = async (data: Buffer) => {
      await gate;
      stored.push(data.length);
    };
    const writer = new FrameWriter({ pool, frameBytes: 100, compressionLevel: 3, sink, signal: never });
    let accepted = 0;
    const feeding = (async () => {
      for (; accepted < 50; accepted += 1) await writer.append(Buffer.alloc(100, accepted));
      await writer.finish();
    })();
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(accepted).toBeLessThanOrEqual(pool.threadCount + 2);
    open();
    await feeding;
    expect(stored.length).toBe(51);
  });

  test('frames that were made elsewhere stand in their order, and their buffers are released', async () => {
    const stored: Buffer[] = [];
    const sink = async (data: Buffer) => {
      stored.push(Buffer.from(data));
    };
    const writer = new FrameWriter({ pool, frameBytes: 100, compressionLevel: 3, sink, signal: never });
    const released: number[] = [];
    const insert = async (content: Buffer, number: number) => {
      const target = Buffer.alloc(2048);
      const length = await pool.compress(content, content.length, target, 3);
      await writer.insert(target.subarray(0, length), content.length, () => released.push(number));
    };
    await writer.append(Buffer.alloc(150, 'a'));
    await insert(Buffer.alloc(300, 'b'), 1);
    await insert(Buffer.alloc(1, 'c'), 2);
    await writer.append(Buffer.alloc(20, 'd'));
    await writer.finish();
    const expected = Buffer.concat([
      Buffer.alloc(150, 'a'),
      Buffer.alloc(300, 'b'),
      Buffer.from('c'),
      Buffer.alloc(20, 'd'),
    ]);
    const reader = await opened(Buffer.concat(stored));
    expect([writer.contentBytes, reader.frameCount, released]).toEqual([471, 5, [1, 2]]);
    expect((await rangeOf(reader, 0, 471)).equals(expected)).toBe(true);
  });

  test('fails with the error of the sink, and settles', async () => {
    const full = new Error('disk full');
    const sink = () => Promise.reject(full);
    await expect(written(mixedBytes(50_000), { sink })).rejects.toBe(full);
  });

  test('ends when it is aborted', async () => {
    const stop = new AbortController();
    const sink = async () => stop.abort(new Error('enough'));
    await expect(written(mixedBytes(50_000), { sink, signal: stop.signal })).rejects.toThrow('enough');
  });

  test('fails when the pool is closed under it, and does not hang', async () => {
    const closing = new CompressPool(1);
    const sink = async () => undefined;
    const writer = new FrameWriter({
      pool: closing,
      frameBytes: 4 * 1024 * 1024,
      compressionLevel: 19,
      sink,
      signal: never,
    });
    const feeding = (async () => {
      for (let round = 0; round < 8; round += 1) await writer.append(mixedBytes(4 * 1024 * 1024));
      await writer.finish();
    })();
    const ended = expect(feeding).rejects.toMatchObject({ code: 'INTERNAL' });
    await new Promise((resolve) => setTimeout(resolve, 300));
    await closing.close();
    await ended;
    await writer.settle();
  });
});

describe('the pool', () => {
  const frame = (bytes: number) => [Buffer.alloc(bytes), Buffer.alloc(bytes + 1024)] as const;

  test('fails one frame that does not fit, and goes on', async () => {
    const [source] = frame(10_000);
    crypto.getRandomValues(source);
    await expect(pool.compress(source, 10_000, Buffer.alloc(10), 3)).rejects.toMatchObject({ code: 'INTERNAL' });
    const [next, target] = frame(10_000);
    expect(await pool.compress(next, 10_000, target, 3)).toBeGreaterThan(0);
  });

  test('takes no frame that is longer than its source', async () => {
    const [source, target] = frame(1000);
    await expect(pool.compress(source, 1001, target, 3)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('once closed, fails the frames that wait, ends the one that is being made, and takes no more', async () => {
    const closing = new CompressPool(1);
    const frames = Array.from({ length: 3 }, () => frame(4 * 1024 * 1024));
    for (const [source] of frames) mixedBytes(source.length).copy(source);
    const all = frames.map(([source, target]) => closing.compress(source, source.length, target, 12));
    const ends = Promise.allSettled(all);
    await new Promise((resolve) => setTimeout(resolve, 20));
    await closing.close();
    expect((await ends).map(({ status }) => status).slice(1)).toEqual(['rejected', 'rejected']);
    const [source, target] = frame(1000);
    await expect(closing.compress(source, 1000, target, 3)).rejects.toMatchObject({ code: 'INTERNAL' });
  });

  test('keeps its buffers for the next run', () => {
    const first = pool.borrow(12_345);
    pool.giveBack(12_345, [first]);
    expect(pool.borrow(12_345)).toEqual(first);
  });
});

describe('a damaged stream', () => {
  test('never passes for the whole one', async () => {
    const content = mixedBytes(20_000);
    const stored = await written(content);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: stored.length - 1 }), fc.nat({ max: 7 }), async (offset, bit) => {
        const damaged = Buffer.from(stored);
        damaged[offset] = (damaged[offset] ?? 0) ^ (1 << bit);
        const result = await opened(damaged)
          .then((reader) => rangeOf(reader, 0, reader.contentBytes))
          .catch((error: unknown) => error);
        // zstd alone does not notice every flipped bit of content (age does): but what it refuses has its code, and no size is believed.
        if (Buffer.isBuffer(result)) expect(result.length).toBe(content.length);
        else expect(result).toMatchObject({ code: 'ARTIFACT_CORRUPT' });
      }),
      { numRuns: 400 },
    );
  });

  test.each([
    ['empty', Buffer.alloc(0)],
    ['without a table', Buffer.alloc(100, 1)],
    ['with a table that is larger than it', encodeSeekTable([{ storedBytes: 5, contentBytes: 5 }]).subarray(8)],
    ['with frames that are not there', encodeSeekTable([{ storedBytes: 5, contentBytes: 5 }])],
    ['with a frame beyond all bounds', encodeSeekTable([{ storedBytes: 0, contentBytes: 2 ** 31 }])],
  ])('%s is refused', async (_what, stored) => {
    await expect(opened(stored)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  });

  test('with a frame that holds more than the table says is refused without making room for it', async () => {
    const stored = await written(Buffer.alloc(10_000_000), { frameBytes: 10_000_000, pieceBytes: 10_000_000 });
    const frameBytes = stored.length - 8 - 8 - 9;
    const lying = Buffer.concat([
      stored.subarray(0, frameBytes),
      encodeSeekTable([{ storedBytes: frameBytes, contentBytes: 50 }]),
    ]);
    await expect(rangeOf(await opened(lying), 0, 50)).rejects.toMatchObject({ code: 'ARTIFACT_CORRUPT' });
  });
});
