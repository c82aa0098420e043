import { createHash } from 'node:crypto';
import type { S3Objects } from '../../storage/s3-objects.ts';
import type { ExportFile } from './export-file.ts';

/**
 * Writes an export as an object, which is there only when it is whole. What an earlier attempt left of it goes. Throws STORAGE_…, what
 * the stream throws; the reason of the signal that the objects were opened with.
 */
export async function writeExportObject(
  objects: S3Objects,
  key: string,
  stream: AsyncIterable<Buffer>,
): Promise<ExportFile> {
  await objects.abortUploads(key);
  const hash = createHash('sha256');
  let sizeBytes = 0;
  async function* counted(): AsyncGenerator<Buffer> {
    for await (const chunk of stream) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      yield chunk;
    }
  }
  await objects.put(key, counted());
  return { sizeBytes, sha256: hash.digest('hex') };
}
