import type { Measure, SourceSession } from '../connector.ts';
import { Semaphore } from '../sftp/semaphore.ts';
import type { Bucket } from './bucket.ts';
import { listObjects, listPages } from './list.ts';
import { openObject, readObject } from './read.ts';

const objectsInFlight = 32;
const smallFileBytes = 1024 * 1024;

/** Objects below a prefix as files. Directories are what slashes in keys say. */
export function s3Session(bucket: Bucket): SourceSession {
  const slots = new Semaphore(objectsInFlight);
  return {
    smallFileBytes,
    batchesInFlight: 4,
    list({ signal, readConcurrency }) {
      if (readConcurrency !== undefined) slots.resize(readConcurrency);
      return listObjects(bucket, signal);
    },
    readMany(entries, signal) {
      return Promise.all(entries.map((entry) => slots.run(() => readObject(bucket, entry, smallFileBytes, signal))));
    },
    open: (entry, signal) => openObject(bucket, entry, signal),
    async measure({ signal }): Promise<Measure> {
      let fileCount = 0;
      let totalBytes = 0;
      for await (const page of listPages(bucket, signal)) {
        for (const { key, sizeBytes } of page) {
          if (key.endsWith('/')) continue;
          fileCount += 1;
          totalBytes += sizeBytes;
        }
      }
      return { fileCount, totalBytes };
    },
    describe: () => ({ transport: 's3' }),
    close: async () => bucket.connection.close(),
  };
}
