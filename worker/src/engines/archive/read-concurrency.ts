import type { ReadResult, SourceSession } from '../../connectors/connector.ts';
import { sessionWith } from './session-with.ts';

/** Files that the engine puts in one batch at most. */
const batchFiles = 64;

/** A session of which no more than so many small files are read at a time; null leaves that to the kind of source. */
export function withReadConcurrency(session: SourceSession, files: number | null): SourceSession {
  if (files === null) return session;
  // Each thread that packs reads one file at a time.
  if (session.pack !== undefined) {
    return sessionWith(session, { batchesInFlight: Math.min(files, session.batchesInFlight) });
  }
  const together = Math.min(files, batchFiles);
  return sessionWith(session, {
    batchesInFlight: Math.max(1, Math.floor(files / batchFiles)),
    async readMany(entries, signal) {
      const results: ReadResult[] = [];
      for (let at = 0; at < entries.length; at += together) {
        results.push(...(await session.readMany(entries.slice(at, at + together), signal)));
      }
      return results;
    },
  });
}
