import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { pathToText } from '../../artifact/path-text.ts';
import { readXattrs } from '../../artifact/tar-xattrs.ts';
import { ByteCursor } from './restore-cursor.ts';
import type { RestoreEntry, StoredContent } from './restore-entries.ts';
import { expandHoles } from './restore-sparse.ts';

/** How many entries are looked ahead for neighbours; bounds memory. */
const batchSize = 256;
/** Contents no further apart than this are read in one go. */
const maxGapBytes = 65_536;

/** An entry with its content, which must be read before the next entry is asked for, or not at all any more. */
export type Filled<Entry extends RestoreEntry> = Entry & { readonly chunks: AsyncIterable<Buffer> };
export type FilledEntry = Filled<RestoreEntry>;

/**
 * Reads the contents of entries, neighbours in one range, so that only needed frames are read and none of them twice. When a
 * file's chunks end without a throw its SHA-256 was right; else ARTIFACT_CORRUPT is thrown, and what was read must not be kept.
 */
export async function* fillEntries<Entry extends RestoreEntry>(
  reader: ArtifactReader,
  entries: AsyncIterable<Entry>,
  signal: AbortSignal,
): AsyncGenerator<Filled<Entry>> {
  let batch: Entry[] = [];
  for await (const entry of entries) {
    batch.push(entry);
    if (batch.length < batchSize) continue;
    yield* fillBatch(reader, batch, signal);
    batch = [];
  }
  yield* fillBatch(reader, batch, signal);
}

/** The content of one entry, out of order. */
export async function* contentOf(
  reader: ArtifactReader,
  entry: RestoreEntry,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for await (const { chunks } of fillBatch(reader, [entry], signal)) yield* chunks;
}

interface Run<Entry> {
  readonly entries: Entry[];
  readonly start: number;
  end: number;
}

async function* fillBatch<Entry extends RestoreEntry>(
  reader: ArtifactReader,
  batch: readonly Entry[],
  signal: AbortSignal,
): AsyncGenerator<Filled<Entry>> {
  for (const run of runsOf(batch)) {
    const cursor = new ByteCursor(reader.readTar(run.start, run.end - run.start, signal));
    try {
      for (const bare of run.entries) {
        const entry = bare.headers === undefined ? bare : await withXattrs(bare, bare.headers, run, cursor);
        if (entry.content === null || entry.content.storedBytes === 0) {
          yield { ...entry, chunks: emptyContent(entry) };
          continue;
        }
        await cursor.skip(entry.content.dataOffset - run.start - cursor.taken);
        yield { ...entry, chunks: contentFrom(entry, entry.content, cursor) };
      }
    } finally {
      await cursor.close();
    }
  }
}

/** What of the tar stream is read for it. */
function spanOf({ content, headers }: RestoreEntry): { start: number; end: number } | null {
  const end = content === null ? 0 : content.dataOffset + content.storedBytes;
  if (headers !== undefined) return { start: headers.offset, end: Math.max(end, headers.offset + headers.bytes) };
  return content === null || content.storedBytes === 0 ? null : { start: content.dataOffset, end };
}

/** ACLs and what users put there; capabilities give rights as setuid bits do. Nothing else is written by a backup. */
function keepsXattr(keepsCapabilities: boolean): (name: string) => boolean {
  return (name) =>
    name.startsWith('user.') ||
    name === 'system.posix_acl_access' ||
    name === 'system.posix_acl_default' ||
    (keepsCapabilities && name === 'security.capability');
}

async function withXattrs<Entry extends RestoreEntry>(
  entry: Entry,
  headers: NonNullable<RestoreEntry['headers']>,
  run: Run<Entry>,
  cursor: ByteCursor,
): Promise<Entry> {
  await cursor.skip(headers.offset - run.start - cursor.taken);
  const xattrs = readXattrs(await cursor.takeWhole(headers.bytes), keepsXattr(headers.keepsCapabilities));
  if (xattrs !== undefined) return { ...entry, member: { ...entry.member, xattrs } };
  throw new XVaultError('ARTIFACT_CORRUPT', { detail: `headers are damaged: ${pathToText(entry.member.path)}` });
}

function runsOf<Entry extends RestoreEntry>(batch: readonly Entry[]): Run<Entry>[] {
  const runs: Run<Entry>[] = [];
  let run: Run<Entry> = { entries: [], start: 0, end: 0 };
  for (const entry of batch) {
    const span = spanOf(entry);
    if (span !== null) {
      const gap = span.start - run.end;
      if (run.end === 0 || gap < 0 || gap > maxGapBytes) {
        run = { entries: [], start: span.start, end: span.start };
        runs.push(run);
      }
      run.end = span.end;
    } else if (runs.length === 0) {
      runs.push(run);
    }
    run.entries.push(entry);
  }
  return runs;
}

/** As it is stored for a member that is sparse, else whole. */
function contentFrom(entry: RestoreEntry, content: StoredContent, cursor: ByteCursor): AsyncIterable<Buffer> {
  const stored = verifiedContent(entry, content, cursor);
  if (entry.member.sparseBytes !== undefined) return stored;
  const { sparseRealBytes, trueBytes } = content;
  return cutAt(sparseRealBytes === null ? stored : expandHoles(stored, sparseRealBytes), trueBytes);
}

/** The first bytes; the rest is read all the same, for its checksum. */
async function* cutAt(chunks: AsyncIterable<Buffer>, length: number): AsyncGenerator<Buffer> {
  let left = length;
  for await (const piece of chunks) {
    if (left > 0) yield piece.subarray(0, left);
    left -= Math.min(left, piece.length);
  }
}

async function* verifiedContent(
  entry: RestoreEntry,
  content: StoredContent,
  cursor: ByteCursor,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  for await (const piece of cursor.take(content.storedBytes)) {
    hash.update(piece);
    yield piece;
  }
  demandEqual(entry, content, hash.digest('hex'));
}

async function* emptyContent(entry: RestoreEntry): AsyncGenerator<Buffer> {
  if (entry.content !== null) demandEqual(entry, entry.content, createHash('sha256').digest('hex'));
  yield* [];
}

function demandEqual(entry: RestoreEntry, content: StoredContent, sha256: string): void {
  if (sha256 === content.sha256) return;
  const path = pathToText(entry.member.path);
  throw new XVaultError('ARTIFACT_CORRUPT', { detail: `content differs from its checksum: ${path}` });
}
