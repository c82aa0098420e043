import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { type FilePieces, isSkipped, type ReadResult, type SourceSession } from '../../connectors/connector.ts';
import { type Throttle, throttled } from './bandwidth.ts';
import { sessionWith } from './session-with.ts';

/** A session whose files are read no faster than the throttle lets them. */
export function throttledSession(session: SourceSession, throttle: Throttle): SourceSession {
  const pack = session.pack?.bind(session);
  return sessionWith(session, {
    async readMany(entries, signal) {
      const results = await session.readMany(entries, signal);
      await throttle.take(bytesOf(results), signal);
      return results;
    },
    async open(entry, signal) {
      const stream = await session.open(entry, signal);
      if (isSkipped(stream)) return stream;
      const { whole } = stream;
      if (whole !== undefined) await throttle.take(whole.data.length, signal);
      return {
        entry: stream.entry,
        ...(stream.remark && { remark: stream.remark }),
        ...(stream.sparseBytes !== undefined && { sparseBytes: stream.sparseBytes }),
        // What is in memory has been counted.
        ...(whole && { whole }),
        chunks: whole ? stream.chunks : throttled(stream.chunks, throttle, signal),
        ...(stream.pieces && { pieces: throttledPieces(stream.pieces, throttle) }),
        changed: () => stream.changed(),
        close: () => stream.close(),
      };
    },
    ...(pack && {
      async pack(operations, into, signal) {
        const frame = await pack(operations, into, signal);
        // Not the files' sizes: holes are not read.
        await throttle.take(frame.contentBytes, signal);
        return frame;
      },
    }),
  });
}

function throttledPieces(pieces: FilePieces, throttle: Throttle): FilePieces {
  return {
    count: pieces.count,
    async pack(at, header, into, signal) {
      const piece = await pieces.pack(at, header, into, signal);
      await throttle.take(piece.contentBytes, signal);
      return piece;
    },
    digest: () => pieces.digest(),
  };
}

function bytesOf(results: readonly ReadResult[]): number {
  return results.reduce((sum, result) => sum + (result.ok ? result.data.length : 0), 0);
}

/** A snapshot whose content is read, and so written wherever it goes, no faster than the throttle lets it. */
export function throttledReader(reader: ArtifactReader, throttle: Throttle): ArtifactReader {
  const readTar: ArtifactReader['readTar'] = (offset, length, signal) =>
    throttled(reader.readTar(offset, length, signal), throttle, signal);
  return new Proxy(reader, {
    get(target, name) {
      if (name === 'readTar') return readTar;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}
