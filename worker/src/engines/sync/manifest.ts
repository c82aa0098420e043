import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createGzip } from 'node:zlib';
import { XVaultError } from '@xvault/shared/errors.ts';
import { z } from 'zod';

/** Each piece of a stream costs more than a line. */
const linesTogether = 500;

/** One object of a version. */
export const manifestEntry = z.strictObject({
  path: z.string().min(1),
  size: z.int().min(-1),
  /** RFC 3339; null where asking for it costs a request for each object. */
  mtime: z.string().nullable(),
  /** By rclone's names; null where there is none without reading the object. */
  hashes: z.record(z.string(), z.string()).nullable(),
});
export type ManifestEntry = z.infer<typeof manifestEntry>;

const header = z.strictObject({
  format: z.literal('xvault-sync-manifest'),
  format_version: z.literal(1),
  version: z.string(),
  job_id: z.string(),
  run_id: z.string(),
  mode: z.enum(['sync', 'copy', 'mirror']),
  encrypted: z.boolean(),
  created_at: z.string(),
  object_count: z.int().min(0),
  total_bytes: z.int().min(0),
});
export type ManifestHeader = Omit<z.infer<typeof header>, 'format' | 'format_version'>;

export interface Manifest {
  readonly header: ManifestHeader;
  /** By path. */
  readonly entries: ReadonlyMap<string, ManifestEntry>;
}

export interface WrittenManifest {
  readonly sizeBytes: number;
  /** Of the file as it is stored, hex. */
  readonly sha256: string;
}

/** Writes JSON lines, gzipped: the header, then the entries by path. */
export async function writeManifest(
  path: string,
  head: ManifestHeader,
  entries: Iterable<ManifestEntry>,
): Promise<WrittenManifest> {
  const hash = createHash('sha256');
  let sizeBytes = 0;
  const measured = new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      done(null, chunk);
    },
  });
  const sorted = [...entries].sort((a, b) => (a.path < b.path ? -1 : 1));
  await pipeline(Readable.from(lines(head, sorted)), createGzip(), measured, createWriteStream(path, { mode: 0o600 }));
  return { sizeBytes, sha256: hash.digest('hex') };
}

/** Throws SYNC_VERSION_BROKEN when the file is damaged, cut short, or not a manifest. */
export async function readManifest(path: string): Promise<Manifest> {
  const entries = new Map<string, ManifestEntry>();
  let head: ManifestHeader | undefined;
  const take = (line: string) => {
    const value: unknown = JSON.parse(line);
    if (head === undefined) {
      const { format: _, format_version: __, ...rest } = header.parse(value);
      head = rest;
    } else {
      const entry = manifestEntry.parse(value);
      entries.set(entry.path, entry);
    }
  };
  try {
    await pipeline(createReadStream(path), createGunzip(), (unzipped) => eachLine(unzipped, take));
  } catch (cause) {
    // The worker's own disk, which says nothing of what is stored.
    if (cause instanceof Error && 'syscall' in cause) throw cause;
    throw brokenManifest(String(cause), cause);
  }
  if (head === undefined || head.object_count !== entries.size) throw brokenManifest('it is cut short');
  return { header: head, entries };
}

function brokenManifest(why: string, cause?: unknown): XVaultError {
  return new XVaultError('SYNC_VERSION_BROKEN', { detail: `the manifest cannot be read: ${why}`, cause });
}

async function eachLine(text: AsyncIterable<Buffer>, take: (line: string) => void): Promise<void> {
  const input = Readable.from(text);
  for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) take(line);
}

export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}

function* lines(head: ManifestHeader, entries: readonly ManifestEntry[]): Generator<string> {
  yield `${JSON.stringify({ format: 'xvault-sync-manifest', format_version: 1, ...head })}\n`;
  for (let at = 0; at < entries.length; at += linesTogether) {
    const some = entries.slice(at, at + linesTogether);
    yield some.map((entry) => `${JSON.stringify(entry)}\n`).join('');
  }
}
