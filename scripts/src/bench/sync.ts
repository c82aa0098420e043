import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { join } from 'node:path';
import { s3DestinationConfig } from '@xvault/shared/destinations.ts';
import { newId } from '@xvault/shared/ids.ts';
import { type RadosgwServer, startRadosgw } from '@xvault/shared/testing/radosgw.ts';
import {
  makeSyncPlatform,
  type SyncJob,
  type SyncPlatform,
} from '../../../worker/src/handlers/sync-context.test-kit.ts';
import type { BenchContext, BenchResult } from './bench.ts';
import { median, round } from './statistics.ts';

const rounds = 3;
const files = 5000;
const gibibyte = 2 ** 30;
const flags = ['--transfers=4', '--checkers=8', '--low-level-retries=4', '--s3-no-check-bucket', '--s3-no-head'];

interface Pair {
  readonly first: number;
  readonly again: number;
}

/**
 * A sync as a worker's handler carries it out, with its guard, versions and manifest, against `rclone sync` with the same flags: from
 * this machine's disk to a private S3 server as the platform's own, into an empty bucket and then once more with nothing changed. In
 * turns, medians. Figures beside it: the same to a bucket of a customer's, which rclone reaches through the run's proxy, and rclone as
 * it comes, which asks for each object once more after storing it.
 */
export async function sync({ workDir, say, signal, gib = 1 }: BenchContext): Promise<BenchResult> {
  const tree = join(workDir, 'tree');
  say(`writing ${files} files`);
  await growFiles(tree, gib * gibibyte);
  say('starting an S3 server');
  const server = await startRadosgw({ diskBytes: Math.ceil(gib * gibibyte * (rounds + 2) * 2.4) + 2 * gibibyte });
  const ours: Pair[] = [];
  const plain: Pair[] = [];
  const memory: number[] = [];
  let progressBytes = 0;
  let customers: Pair | undefined;
  let withHead: number | undefined;
  try {
    for (let number = 0; number <= rounds && !signal.aborted; number += 1) {
      // Who begins changes, so that neither always finds the server as the other left it.
      const turns = [() => timeOurs(server, tree, 'platform'), () => timePlain(server, tree, flags)] as const;
      const [a, b] = number % 2 === 0 ? turns : [turns[1], turns[0]];
      const results = [await a(), await b()];
      // The first round fills the caches and is not counted.
      if (number === 0) continue;
      for (const result of results) {
        if ('peakMib' in result) {
          plain.push(result);
          memory.push(result.peakMib);
        } else {
          ours.push(result);
          progressBytes = Math.max(progressBytes, result.progressBytes);
        }
      }
      const [x, p] = [ours.at(-1), plain.at(-1)];
      say(
        `round ${number}: xvault ${x?.first.toFixed(2)} s and ${x?.again.toFixed(2)} s, rclone ${p?.first.toFixed(2)} s and ${p?.again.toFixed(2)} s`,
      );
    }
    customers = await timeOurs(server, tree, 'customer');
    say(`to a customer's bucket: ${customers.first.toFixed(2)} s and ${customers.again.toFixed(2)} s`);
    const asItComes = flags.filter((flag) => flag !== '--s3-no-head');
    withHead = (await timePlain(server, tree, asItComes)).first;
    say(`rclone with a look at each stored object: ${withHead.toFixed(2)} s`);
  } finally {
    await server.close();
  }
  const of = (pairs: readonly Pair[], name: keyof Pair) => median(pairs.map((pair) => pair[name]));
  const first = of(plain, 'first') / of(ours, 'first');
  const again = of(plain, 'again') / of(ours, 'again');
  return {
    bench: 'sync',
    ratios: { rclone: round(Math.min(first, again)), first: round(first), unchanged: round(again) },
    figures: {
      files,
      bytes: gib * gibibyte,
      'seconds.first.xvault': round(of(ours, 'first')),
      'seconds.first.rclone': round(of(plain, 'first')),
      'seconds.unchanged.xvault': round(of(ours, 'again')),
      'seconds.unchanged.rclone': round(of(plain, 'again')),
      ...(withHead !== undefined && { 'seconds.first.rcloneWithHead': round(withHead) }),
      ...(customers && { 'seconds.first.customersBucket': round(customers.first) }),
      rclonePeakRssMiB: round(median(memory), 1),
      progressBytesPerSecond: round(progressBytes, 0),
    },
  };
}

/** Sizes as of documents: many small, some large, together as wanted; nothing that compresses. */
async function growFiles(tree: string, wantedBytes: number): Promise<void> {
  const weights = Array.from({ length: files }, (_, index) => (index % 50 === 0 ? 40 : 0.2 + (index % 7) / 5));
  const sum = weights.reduce((a, b) => a + b, 0);
  const noise = randomBytes(64 * 1024 * 1024);
  for (const [index, weight] of weights.entries()) {
    const folder = join(tree, `folder-${index % 100}`);
    if (index < 100) await mkdir(folder, { recursive: true });
    const bytes = Math.floor((wantedBytes * weight) / sum);
    const start = (index * 7919) % (noise.length - 1);
    const file = await open(join(folder, `file-${index}.bin`), 'w');
    try {
      for (let left = bytes; left > 0; ) {
        const { bytesWritten } = await file.write(noise.subarray(start, start + Math.min(left, noise.length - start)));
        left -= bytesWritten;
      }
    } finally {
      await file.close();
    }
  }
}

async function timeOurs(server: RadosgwServer, path: string, whose: 'platform' | 'customer') {
  const { endpoint, region, accessKey, secretKey } = server;
  const bucket = await server.createBucket();
  const platform = await makeSyncPlatform({
    XVAULT_S3_ENDPOINT: endpoint,
    XVAULT_S3_REGION: region,
    XVAULT_S3_BUCKET: bucket,
    XVAULT_S3_ACCESS_KEY_ID: accessKey,
    XVAULT_S3_SECRET_ACCESS_KEY: secretKey,
  });
  const customers: SyncJob['destination'] = {
    connection: { type: 's3', config: s3DestinationConfig.parse({ endpoint, region, bucket }) },
    secret: { access_key_id: accessKey, secret_access_key: secretKey },
  };
  const job: SyncJob = {
    source: { connection: { type: 'local', config: { path } } },
    destination: whose === 'customer' ? customers : { connection: { type: 'platform_s3', config: {} } },
    jobId: newId(),
  };
  try {
    return await timeTwice(platform, job);
  } finally {
    await platform.remove();
  }
}

async function timeTwice(platform: SyncPlatform, job: SyncJob) {
  const begun = performance.now();
  const { result, told } = await platform.backup(job);
  const first = (performance.now() - begun) / 1000;
  if (result.snapshot.file_count !== files || told.warnings > 0) throw new Error('not all files were brought over');
  const middle = performance.now();
  await platform.backup(job);
  const again = (performance.now() - middle) / 1000;
  // What heartbeats carry of it at most.
  const progressBytes = told.progress.reduce((total, each) => total + JSON.stringify(each).length, 0) / first;
  return { first, again, progressBytes };
}

async function timePlain(server: RadosgwServer, tree: string, flags: readonly string[]) {
  const bucket = await server.createBucket();
  const env = {
    PATH: process.env.PATH ?? '/usr/bin:/bin',
    RCLONE_CONFIG: '/dev/null',
    RCLONE_CONFIG_PLAIN_TYPE: 's3',
    RCLONE_CONFIG_PLAIN_PROVIDER: 'Other',
    RCLONE_CONFIG_PLAIN_ENDPOINT: server.endpoint,
    RCLONE_CONFIG_PLAIN_REGION: server.region,
    RCLONE_CONFIG_PLAIN_ACCESS_KEY_ID: server.accessKey,
    RCLONE_CONFIG_PLAIN_SECRET_ACCESS_KEY: server.secretKey,
  };
  const time = async () => {
    const begun = performance.now();
    const child = spawn('rclone', ['sync', ...flags, tree, `plain:${bucket}`], { env, stdio: 'inherit' });
    let peakMib = 0;
    const watching = setInterval(() => {
      peakMib = Math.max(peakMib, peakOf(child.pid));
    }, 100);
    const [code] = await once(child, 'exit');
    clearInterval(watching);
    if (code !== 0) throw new Error(`rclone ended with ${code}`);
    return { seconds: (performance.now() - begun) / 1000, peakMib };
  };
  const first = await time();
  const again = await time();
  return { first: first.seconds, again: again.seconds, peakMib: first.peakMib };
}

/** The most memory that a process has used so far, MiB; 0 when it is gone. */
function peakOf(pid: number | undefined): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    return Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0) / 1024;
  } catch {
    // It has just ended.
    return 0;
  }
}
