import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createGzip, createZstdCompress, type Gzip, type ZstdCompress } from 'node:zlib';
import type { FilledEntry } from './restore-contents.ts';
import type { RestoreProgress } from './restore-progress.ts';
import { tarStream } from './restore-tar.ts';

const zstdParams = {
  [constants.ZSTD_c_compressionLevel]: 3,
  [constants.ZSTD_c_checksumFlag]: 1,
};

const chunkBytes = 256 * 1024;

/** The entries as a tar compressed by zstd. */
export function tarZstStream(entries: AsyncIterable<FilledEntry>, progress: RestoreProgress): AsyncGenerator<Buffer> {
  return compressed(entries, progress, createZstdCompress({ params: zstdParams, chunkSize: chunkBytes }));
}

/** The entries as a tar compressed by gzip, which every system opens. */
export function tarGzStream(entries: AsyncIterable<FilledEntry>, progress: RestoreProgress): AsyncGenerator<Buffer> {
  return compressed(entries, progress, createGzip({ level: 5, chunkSize: chunkBytes }));
}

async function* compressed(
  entries: AsyncIterable<FilledEntry>,
  progress: RestoreProgress,
  compressor: Gzip | ZstdCompress,
): AsyncGenerator<Buffer> {
  const feed = pipeline(Readable.from(tarStream(entries, progress)), compressor);
  // Thrown below, by reading from the compressor or by awaiting it; never unhandled in between.
  feed.catch(() => undefined);
  try {
    for await (const chunk of compressor) yield chunk as Buffer;
    await feed;
  } finally {
    compressor.destroy();
    // The source must be at rest before its reader is closed.
    await Promise.allSettled([feed]);
  }
}
