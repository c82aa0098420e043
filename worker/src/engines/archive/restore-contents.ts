import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { pathToText } from '../../artifact/path-text.ts';
import { ByteCursor } from './restore-cursor.ts';
import type { RestoreEntry, StoredContent } from './restore-entries.ts';

/** How many entries are looked ahead for neighbours; bounds memory. */
const batchSize = 256;
/** Contents no further apart than this are read in one go. */
const maxGapBytes = 65_536;

/** An entry with its content; `chunks` must be read to the end before the next entry is asked for. */
export interface FilledEntry extends RestoreEntry {
  readonly chunks: AsyncIterable<Buffer>;
}

/**
 * Reads the contents of entries, neighbours in one range, so that only needed frames are read and none of them twice. When a
 * file's chunks end without a throw its SHA-256 was right; else ARTIFACT_CORRUPT is thrown, and what was read must not be kept.
 */
export async function* fillEntries(
  reader: ArtifactReader,
  entries: AsyncIterable<RestoreEntry>,
  signal: AbortSignal,
): AsyncGenerator<FilledEntry> {
  let batch: RestoreEntry[] = [];
  for await (const entry of entries) {
    batch.push(entry);
    if (batch.length < batchSize) continue;
    yield* fillBatch(reader, batch, signal);
    batch = [];
  }
  yield* fillBatch(reader, batch, signal);
}

interface Run {
  readonly entries: RestoreEntry[];
  readonly start: number;
  end: number;
}

async function* fillBatch(
  reader: ArtifactReader,
  batch: readonly RestoreEntry[],
  signal: AbortSignal,
): AsyncGenerator<FilledEntry> {
  for (const run of runsOf(batch)) {
    const cursor = new ByteCursor(reader.readTar(run.start, run.end - run.start, signal));
    let position = run.start;
    try {
      for (const entry of run.entries) {
        if (entry.content === null || entry.content.storedBytes === 0) {
          yield { ...entry, chunks: emptyContent(entry) };
          continue;
        }
        await cursor.skip(entry.content.dataOffset - position);
        yield { ...entry, chunks: verifiedContent(entry, entry.content, cursor) };
        position = entry.content.dataOffset + entry.content.storedBytes;
      }
    } finally {
      await cursor.close();
    }
  }
}

function runsOf(batch: readonly RestoreEntry[]): Run[] {
  const runs: Run[] = [];
  let run: Run = { entries: [], start: 0, end: 0 };
  for (const entry of batch) {
    const { content } = entry;
    if (content !== null && content.storedBytes > 0) {
      const gap = content.dataOffset - run.end;
      if (run.end === 0 || gap < 0 || gap > maxGapBytes) {
        run = { entries: [], start: content.dataOffset, end: content.dataOffset };
        runs.push(run);
      }
      run.end = content.dataOffset + content.storedBytes;
    } else if (runs.length === 0) {
      runs.push(run);
    }
    run.entries.push(entry);
  }
  return runs;
}

async function* verifiedContent(
  entry: RestoreEntry,
  content: StoredContent,
  cursor: ByteCursor,
): AsyncGenerator<Buffer> {
  const hash = createHash('sha256');
  let left = content.trueBytes;
  for await (const piece of cursor.take(content.storedBytes)) {
    hash.update(piece);
    if (left > 0) yield piece.subarray(0, left);
    left -= Math.min(left, piece.length);
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
