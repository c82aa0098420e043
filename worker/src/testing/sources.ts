import type { ReadResult, SkippedItem, SourceEntry, SourceSession } from '../connectors/connector.ts';
import { isSkipped } from '../connectors/connector.ts';

export interface Listed {
  readonly entries: SourceEntry[];
  readonly skipped: SkippedItem[];
  /** In the order in which they came. */
  readonly paths: Buffer[];
}

/** Everything a session lists. */
export async function listAll(session: SourceSession, signal: AbortSignal, oneFileSystem = false): Promise<Listed> {
  const listed: Listed = { entries: [], skipped: [], paths: [] };
  for await (const item of session.list({ oneFileSystem, signal })) {
    listed.paths.push(item.path);
    if (isSkipped(item)) listed.skipped.push(item);
    else listed.entries.push(item);
  }
  return listed;
}

export function entryAt(listed: Listed, path: string | Buffer): SourceEntry {
  const wanted = Buffer.from(path);
  const entry = listed.entries.find((candidate) => candidate.path.equals(wanted));
  if (!entry) throw new Error(`not listed: ${path.toString()}`);
  return entry;
}

export function skippedAt(listed: Listed, path: string): string | undefined {
  return listed.skipped.find((item) => item.path.equals(Buffer.from(path)))?.skipped;
}

export async function readOne(session: SourceSession, entry: SourceEntry, signal: AbortSignal): Promise<ReadResult> {
  const [result] = await session.readMany([entry], signal);
  if (!result) throw new Error('no result');
  return result;
}

/** The bytes of a large file; `onChunk` is called before each next one is asked for. */
export async function readLarge(
  session: SourceSession,
  entry: SourceEntry,
  signal: AbortSignal,
  onChunk: (bytesSoFar: number) => void | Promise<void> = () => undefined,
): Promise<{ data: Buffer; sizeBytes: number; changed: boolean }> {
  const opened = await session.open(entry, signal);
  if (isSkipped(opened)) throw new Error(`skipped: ${opened.skipped}`);
  try {
    const parts: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of opened.chunks) {
      parts.push(Buffer.from(chunk));
      bytes += chunk.length;
      await onChunk(bytes);
    }
    return { data: Buffer.concat(parts), sizeBytes: opened.entry.sizeBytes, changed: await opened.changed() };
  } finally {
    await opened.close();
  }
}
