import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress } from 'node:zlib';
import type { FilledEntry } from './restore-contents.ts';
import type { RestoreProgress } from './restore-progress.ts';
import { tarStream } from './restore-tar.ts';

const zstdParams = {
  [constants.ZSTD_c_compressionLevel]: 3,
  [constants.ZSTD_c_checksumFlag]: 1,
};

/** The entries as a compressed tar. */
export async function* tarZstStream(
  entries: AsyncIterable<FilledEntry>,
  progress: RestoreProgress,
): AsyncGenerator<Buffer> {
  const zstd = createZstdCompress({ params: zstdParams, chunkSize: 256 * 1024 });
  const feed = pipeline(Readable.from(tarStream(entries, progress)), zstd);
  // Thrown below, by reading from `zstd` or by awaiting it; never unhandled in between.
  feed.catch(() => undefined);
  try {
    for await (const chunk of zstd) yield chunk as Buffer;
    await feed;
  } finally {
    zstd.destroy();
    // The source must be at rest before its reader is closed.
    await Promise.allSettled([feed]);
  }
}
