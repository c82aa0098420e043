import type { ArtifactWriter } from '../../artifact/artifact-writer.ts';
import type { FilePieces, FileStream } from '../../connectors/connector.ts';
import type { Packer, PieceInTarget } from './backup-pack.ts';
import type { BackupProgress } from './backup-progress.ts';

export interface PiecesOptions {
  readonly packer: Packer;
  readonly writer: ArtifactWriter;
  readonly progress: BackupProgress;
  readonly signal: AbortSignal;
}

/** Stores a large file by its pieces, some made ahead; resolves to the zeros that stand for what it lost meanwhile. */
export async function copyPieces(stream: FileStream, pieces: FilePieces, options: PiecesOptions): Promise<number> {
  const { packer, writer, progress, signal } = options;
  const file = writer.beginPacked(stream.entry, stream.sparseBytes);
  const making: Promise<PieceInTarget>[] = [];
  let next = 0;
  let missingBytes = 0;
  const make = () => {
    const made = packer.packPiece(pieces, next, file.header);
    // Looked at in its turn; until then a failure must not count as unhandled.
    made.catch(() => undefined);
    making.push(made);
    next += 1;
  };
  while (next < Math.min(packer.ahead, pieces.count)) make();
  for (let first = making.shift(); first !== undefined; first = making.shift()) {
    const made = await first;
    signal.throwIfAborted();
    if (next < pieces.count) make();
    missingBytes += made.piece.missingBytes;
    await writer.addPiece(made.piece, made.target, () => packer.release(made));
    progress.bytes(made.piece.dataBytes - made.piece.missingBytes);
    progress.report();
  }
  // Between the pieces of a file with holes no end can be told: it counts as changed, not as padded.
  const paddingBytes = stream.sparseBytes === undefined ? missingBytes : 0;
  await writer.endPacked(file, paddingBytes, pieces.digest());
  return paddingBytes;
}
