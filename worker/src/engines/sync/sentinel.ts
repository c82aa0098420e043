import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';
import { sentinelFile } from './layout.ts';
import { listOrEmpty } from './listing.ts';
import type { RcClient } from './rclone/rc-client.ts';
import { fetchFile, storeFile } from './remote-files.ts';

const sentinel = z.strictObject({ format: z.literal('xvault-sync'), format_version: z.literal(1), job_id: z.string() });

export interface SentinelCheck {
  readonly rc: RcClient;
  /** The job's place as it is stored, and as it reads with the job's key: the same unless encrypted. */
  readonly rawFs: string;
  readonly dstFs: string;
  readonly jobId: string;
  readonly directory: string;
  readonly signal: AbortSignal;
}

/**
 * Makes sure that what is at the destination is this job's and that its key opens it, before anything there is changed: with a
 * wrong key it would look empty. An empty place is marked as the job's. Throws SYNC_SENTINEL_MISSING.
 */
export async function claimDestination(check: SentinelCheck): Promise<'new' | 'known'> {
  const { rc, rawFs, dstFs, jobId, directory, signal } = check;
  const request = { fs: rawFs, recursive: false, filesOnly: false, withMtime: false, withHashes: false };
  const [listing, reading] = await Promise.allSettled([listOrEmpty(rc, request, signal), readSentinel(check)]);
  // The listing's error first: it says more of what is wrong.
  if (listing.status === 'rejected') throw listing.reason;
  if (reading.status === 'rejected') throw reading.reason;
  const there = listing.value;
  // A sentinel that was cut short, and nothing else: the first attempt went no further.
  const isBegun = there.length === 1 && there[0]?.isDirectory === false && parse(reading.value ?? '') === undefined;
  if (there.length > 0 && !isBegun) {
    requireJob(reading.value, jobId);
    return 'known';
  }
  const content = { format: 'xvault-sync', format_version: 1, job_id: jobId };
  await writeFile(join(directory, sentinelFile), `${JSON.stringify(content)}\n`, { mode: 0o600 });
  await storeFile(rc, directory, sentinelFile, { fs: dstFs, path: sentinelFile }, signal);
  return 'new';
}

/** Throws SYNC_SENTINEL_MISSING unless the sentinel is there, opens, and names the job. */
export async function requireSentinel(check: Omit<SentinelCheck, 'rawFs'>): Promise<void> {
  requireJob(await readSentinel(check), check.jobId);
}

/** Null when there is none that the key opens. */
async function readSentinel({ rc, dstFs, directory, signal }: Omit<SentinelCheck, 'rawFs'>): Promise<string | null> {
  const path = await fetchFile(rc, { fs: dstFs, path: sentinelFile }, directory, `found-${sentinelFile}`, signal);
  return path === null ? null : readFile(path, 'utf8');
}

function requireJob(text: string | null, jobId: string): void {
  if (text === null) throw missing('there is no sentinel that this key opens');
  const found = sentinel.safeParse(parse(text));
  if (!found.success || found.data.job_id !== jobId) throw missing('the sentinel is of another job');
}

function missing(detail: string): XVaultError {
  return new XVaultError('SYNC_SENTINEL_MISSING', { detail });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Damaged is as good as another's.
    return undefined;
  }
}
