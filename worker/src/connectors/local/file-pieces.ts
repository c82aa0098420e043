import type { NativeFile, NativeThreads } from '../../native/threads.ts';
import type { FilePieces } from '../connector.ts';
import { type FileContent, groupsOf } from './file-content.ts';
import { sourced } from './sourced.ts';

const pieceBytes = 4 * 1024 * 1024;
const noBytes = Buffer.alloc(0);

/** The frames of an open file, made by native threads. Its descriptor may be closed as soon as they are. */
export function filePieces(threads: NativeThreads, fd: number, content: FileContent): FilePieces & { close(): void } {
  let file: NativeFile | undefined;
  const groups = groupsOf(content, pieceBytes);
  return {
    count: groups.length,
    pack(at, header, into, signal) {
      signal.throwIfAborted();
      file ??= threads.file(fd);
      const prefix = at === 0 ? Buffer.concat([header, content.map ?? noBytes]) : noBytes;
      const hashedFrom = at === 0 ? header.length : 0;
      const isLast = at === groups.length - 1;
      const extents = Buffer.from(
        new Float64Array((groups[at] ?? []).flatMap(({ offset, length }) => [offset, length])).buffer,
      );
      return sourced(file.pack({ number: at, isLast, prefix, hashedFrom, extents }, into), signal);
    },
    digest() {
      if (file === undefined) throw new Error('no piece was read');
      return file.digest();
    },
    close: () => file?.close(),
  };
}
