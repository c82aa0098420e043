/** Buffers of one size that go round, so that a long dump makes no garbage. */
export class PartBuffers {
  readonly #sizeBytes: number;
  readonly #free: ArrayBuffer[] = [];
  readonly #lent = new Set<ArrayBufferLike>();

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
  }

  take(): Buffer {
    const memory = this.#free.pop() ?? new ArrayBuffer(this.#sizeBytes);
    this.#lent.add(memory);
    return Buffer.from(memory);
  }

  /** Takes back what {@link take} gave, by any view of it; other buffers are let be. */
  giveBack(buffer: Buffer): void {
    const memory = buffer.buffer;
    if (this.#lent.delete(memory) && memory instanceof ArrayBuffer) this.#free.push(memory);
  }
}

/** What is taken away from the beginning of a stream. */
export interface HeadCut {
  /** So much of the beginning tells; less only when there is no more. */
  readonly headBytes: number;
  readonly lengthIn: (head: Buffer) => number;
}

export async function* withoutHead(chunks: AsyncIterable<Buffer>, cut: HeadCut): AsyncGenerator<Buffer> {
  let head: Buffer | undefined = Buffer.alloc(0);
  for await (const chunk of chunks) {
    if (head === undefined) {
      yield chunk;
      continue;
    }
    head = Buffer.concat([head, chunk]);
    if (head.length < cut.headBytes) continue;
    yield head.subarray(cut.lengthIn(head.subarray(0, cut.headBytes)));
    head = undefined;
  }
  if (head !== undefined && head.length > 0) yield head.subarray(cut.lengthIn(head));
}

/** Cuts a stream of bytes in parts; all but the last are full. Nothing is read ahead of the part that is asked for. */
export async function* cutParts(
  chunks: AsyncIterable<Buffer> | Iterable<Buffer>,
  buffers: PartBuffers,
): AsyncGenerator<Buffer> {
  let part = buffers.take();
  let filled = 0;
  for await (const chunk of chunks) {
    for (let taken = 0; taken < chunk.length; ) {
      const copied = chunk.copy(part, filled, taken);
      filled += copied;
      taken += copied;
      if (filled < part.length) continue;
      yield part;
      part = buffers.take();
      filled = 0;
    }
  }
  if (filled > 0) yield part.subarray(0, filled);
  else buffers.giveBack(part);
}
