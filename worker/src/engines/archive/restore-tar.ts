import { encodeTarHeader, tarEndBytes, tarPaddingBytes } from '../../artifact/tar.ts';
import type { FilledEntry } from './restore-contents.ts';
import type { RestoreProgress } from './restore-progress.ts';

/** Small pieces are gathered up to this, so that a tree of tiny files does not become a write for each. */
const gatherBytes = 256 * 1024;

/** A tar stream of the entries. */
export async function* tarStream(
  entries: AsyncIterable<FilledEntry>,
  progress: RestoreProgress,
): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let gatheredBytes = 0;
  for await (const piece of tarPieces(entries, progress)) {
    gathered.push(piece);
    gatheredBytes += piece.length;
    if (gatheredBytes < gatherBytes) continue;
    yield gathered.length === 1 ? piece : Buffer.concat(gathered);
    gathered = [];
    gatheredBytes = 0;
  }
  yield Buffer.concat(gathered);
}

async function* tarPieces(entries: AsyncIterable<FilledEntry>, progress: RestoreProgress): AsyncGenerator<Buffer> {
  for await (const { member, chunks } of entries) {
    yield encodeTarHeader(member);
    for await (const chunk of chunks) {
      progress.addBytes(chunk.length);
      yield chunk;
    }
    yield Buffer.alloc(tarPaddingBytes(member.sparseBytes ?? member.sizeBytes));
    progress.entryDone(member);
  }
  yield Buffer.alloc(tarEndBytes);
}
