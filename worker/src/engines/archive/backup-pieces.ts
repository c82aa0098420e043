import type { ArtifactWriter } from '../../artifact/artifact-writer.ts';
import type { FileStream } from '../../connectors/connector.ts';
import type { Packer } from './backup-pack.ts';
import type { BackupProgress } from './backup-progress.ts';
import type { PieceMaker } from './piece-maker.ts';

export interface PiecesOptions {
  readonly packer: Packer;
  readonly writer: ArtifactWriter;
  readonly progress: BackupProgress;
  readonly signal: AbortSignal;
}

/** Stores a large file by its pieces, some made ahead; resolves to the zeros that stand for what it lost meanwhile. */
export async function copyPieces(stream: FileStream, pieces: PieceMaker, options: PiecesOptions): Promise<number> {
  const { packer, writer, progress, signal } = options;
  const file = writer.beginPacked(stream.entry, pieces.header, stream.sparseBytes);
  let missingBytes = 0;
  pieces.makeAhead(packer.ahead);
  for (let first = pieces.take(); first !== undefined; first = pieces.take()) {
    const made = await first;
    signal.throwIfAborted();
    pieces.makeAhead(packer.ahead);
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
