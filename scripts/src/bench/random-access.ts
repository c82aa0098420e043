import { archiveOptions } from '@xvault/shared/archive-options.ts';
import { generateKeyPair } from '@xvault/shared/sealing.ts';
import { startRadosgw } from '@xvault/shared/testing/radosgw.ts';
import { openArtifact } from '../../../worker/src/artifact/artifact-reader.ts';
import { CompressPool } from '../../../worker/src/artifact/compress-pool.ts';
import type { IndexEntry } from '../../../worker/src/artifact/entry.ts';
import { backupToSnapshot } from '../../../worker/src/engines/archive/backup.ts';
import { createS3Storage } from '../../../worker/src/storage/s3.ts';
import { connectS3 } from '../../../worker/src/storage/s3-client.ts';
import { S3Objects } from '../../../worker/src/storage/s3-objects.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { demandDisk } from './disk.ts';
import { noiseSession, wantedContent, wantedPath } from './noise-source.ts';
import { median, round } from './statistics.ts';

const defaultGib = 10;
const gibibyte = 2 ** 30;
const rounds = 5;
const place = { tenantId: 't', sourceId: 's', snapshotId: 'snapshot' };

/**
 * One file of 10 KB out of a large artifact in a bucket: how much of it is read, and how long it takes once the index is there.
 * The artifact is a real backup of incompressible data to a private S3 server on this machine's disk.
 */
export async function randomAccess({ say, signal, gib = defaultGib }: BenchContext): Promise<BenchResult> {
  const bytes = gib * gibibyte;
  await demandDisk(bytes * 1.2 + 2 * gibibyte);
  say('starting an S3 server');
  const server = await startRadosgw({ diskBytes: Math.ceil(bytes * 1.15 + 2 * gibibyte) });
  const pool = new CompressPool();
  try {
    const connection = connectS3({
      endpoint: server.endpoint,
      region: server.region,
      bucket: await server.createBucket(),
      pathStyle: true,
      caPem: null,
      secret: { access_key_id: server.accessKey, secret_access_key: server.secretKey },
      guard: null,
    });
    const objects = new S3Objects(connection, { prefix: '', signal });
    const storage = createS3Storage(objects);
    const keys = await generateKeyPair();
    say(`backing up ${gib} GiB`);
    const begun = performance.now();
    const { snapshot } = await backupToSnapshot({
      session: noiseSession(bytes),
      storage,
      place,
      epoch: 1,
      provenance: { jobId: 'j', runId: 'r', attempt: 1, workerId: 'w', destinationId: 'd' },
      recipients: [keys.recipient],
      options: archiveOptions.parse({ compression_level: 1 }),
      pool,
      signal,
      onProgress: () => undefined,
      onWarning: ({ detail }) => say(`warning: ${detail}`),
    });
    const writeSeconds = (performance.now() - begun) / 1000;
    say(`${round(snapshot.artifact_bytes / 1e6 / writeSeconds, 1)} MB/s to the bucket`);

    const opening = { storage, place, identities: [keys.identity] };
    const before = objects.bytesRead;
    const entry = await findEntry(opening, signal);
    const indexBytesRead = objects.bytesRead - before;
    const seconds: number[] = [];
    let bytesRead = 0;
    for (let round_ = 0; round_ < rounds; round_ += 1) {
      const alreadyRead = objects.bytesRead;
      const from = performance.now();
      const reader = await openArtifact(opening);
      const pieces: Buffer[] = [];
      for await (const piece of reader.readTar(entry.dataOffset, entry.sizeBytes, signal)) pieces.push(piece);
      seconds.push((performance.now() - from) / 1000);
      if (!Buffer.concat(pieces).equals(wantedContent)) throw new Error('the file is not what was backed up');
      await reader.close();
      bytesRead = Math.max(bytesRead, objects.bytesRead - alreadyRead);
    }
    connection.close();
    return {
      bench: 'random-access',
      ratios: {},
      figures: {
        // All that came from the bucket, with what it took to find the file in the index.
        bytesReadFraction: round((bytesRead + indexBytesRead) / snapshot.artifact_bytes, 6),
        seconds: round(median(seconds), 4),
        bytesRead,
        indexBytes: snapshot.index_bytes,
        artifactBytes: snapshot.artifact_bytes,
        uploadMBps: round(snapshot.artifact_bytes / 1e6 / writeSeconds, 1),
      },
    };
  } finally {
    await pool.close();
    await server.close();
  }
}

async function findEntry(opening: Parameters<typeof openArtifact>[0], signal: AbortSignal): Promise<IndexEntry> {
  const reader = await openArtifact(opening);
  try {
    for await (const entry of reader.entries(signal)) if (entry.path.toString() === wantedPath) return entry;
  } finally {
    await reader.close();
  }
  throw new Error('the file is not in the index');
}
