import { XVaultError } from '@xvault/shared/errors.ts';
import type { PipeRead } from '../../native/binding.ts';
import type { NativePipe } from '../../native/pipe.ts';
import { cutParts, type HeadCut, type PartBuffers, withoutHead } from './part-buffers.ts';
import type { RunningTool, ToolOutcome } from './tool-host.ts';

export interface ReadToolOptions {
  /** A tool that says nothing for so long while it is asked to is ended. */
  readonly stallMs: number;
  readonly signal: AbortSignal;
  /** What a tool means that did not succeed. */
  readonly failure: (outcome: ToolOutcome) => XVaultError;
  /** Whether what it wrote last is an end; undefined means yes. */
  readonly isComplete?: (tail: Buffer) => boolean;
}

/** A part of a tool's output. */
export interface Part {
  /** In one of the buffers that go round. */
  readonly data: Buffer;
  readonly sha256?: Buffer;
}

const tailBytes = 256;

/**
 * All that a tool writes. Ends only when it is whole: the tool exited with 0 and, where that can be told, its last words are
 * an end. The end of its output alone proves nothing.
 */
export async function* readTool(tool: RunningTool, options: ReadToolOptions): AsyncGenerator<Buffer> {
  let stalled = false;
  let waiting = true;
  let tail: Buffer = Buffer.alloc(0);
  // One timer for all: it is only wound up again. While the consumer is busy it is not the tool that is slow.
  const timer = setTimeout(() => {
    if (!waiting) return void timer.refresh();
    stalled = true;
    tool.kill();
  }, options.stallMs);
  let ended = false;
  try {
    for await (const chunk of tool.stdout as AsyncIterable<Buffer>) {
      waiting = false;
      tail = tailOf(tail, chunk);
      yield chunk;
      waiting = true;
      timer.refresh();
    }
    ended = true;
  } catch (error) {
    options.signal.throwIfAborted();
    if (!stalled && !(error instanceof XVaultError) && !isBrokenPipe(error)) throw error;
  } finally {
    clearTimeout(timer);
    if (!ended) tool.kill();
  }
  await demandWhole(tool, options, tail, stalled);
}

/** The same in parts, all but the last full. That one, too, comes only when the whole is whole. */
export async function* readParts(
  tool: RunningTool,
  options: ReadToolOptions,
  buffers: PartBuffers,
  cut?: HeadCut,
): AsyncGenerator<Part> {
  if (tool.pipe !== undefined) return yield* readPipe(tool, tool.pipe, options, buffers, cut);
  const chunks = readTool(tool, options);
  const parts = cutParts(cut === undefined ? chunks : withoutHead(chunks, cut), buffers);
  for await (const data of parts) yield { data };
}

async function* readPipe(
  tool: RunningTool,
  pipe: NativePipe,
  options: ReadToolOptions,
  buffers: PartBuffers,
  cut: HeadCut | undefined,
): AsyncGenerator<Part> {
  let tail: Buffer = Buffer.alloc(0);
  let last: Part | undefined;
  let stalled = false;
  let ended = false;
  try {
    for (let count = 0; !ended; count += 1) {
      const buffer = buffers.take();
      const read =
        count === 0 && cut !== undefined
          ? await fillWithoutHead(pipe, buffer, options.stallMs, cut)
          : await pipe.fill(buffer, 0, options.stallMs);
      last = { data: buffer.subarray(0, read.bytes), sha256: read.sha256 };
      tail = tailOf(tail, last.data);
      stalled = read.stalled;
      if (stalled) break;
      ended = read.ended;
      if (!ended) yield last;
    }
  } finally {
    if (!ended) tool.kill();
    pipe.close();
  }
  await demandWhole(tool, options, tail, stalled);
  if (last !== undefined && last.data.length > 0) yield last;
}

async function fillWithoutHead(pipe: NativePipe, buffer: Buffer, stallMs: number, cut: HeadCut): Promise<PipeRead> {
  const head = await pipe.fill(buffer.subarray(0, cut.headBytes), 0, stallMs);
  if (head.stalled) return head;
  const skipped = cut.lengthIn(buffer.subarray(0, head.bytes));
  buffer.copyWithin(0, skipped, head.bytes);
  return await pipe.fill(buffer, head.bytes - skipped, stallMs);
}

/** A copy: what was read goes round. */
function tailOf(before: Buffer, more: Buffer): Buffer {
  if (more.length < tailBytes) return Buffer.concat([before, more]).subarray(-tailBytes);
  return Buffer.from(more.subarray(-tailBytes));
}

async function demandWhole(tool: RunningTool, options: ReadToolOptions, tail: Buffer, stalled: boolean): Promise<void> {
  const outcome = await tool.outcome;
  options.signal.throwIfAborted();
  if (stalled) throw new XVaultError('SOURCE_TIMEOUT', { detail: `nothing came for ${options.stallMs} ms` });
  if (outcome.lost !== undefined) throw outcome.lost;
  if (!outcome.succeeded) throw options.failure(outcome);
  if (options.isComplete?.(tail) === false) {
    throw new XVaultError('DATABASE_DUMP_FAILED', {
      detail: 'the dump has no closing line although the tool ended well',
    });
  }
}

/** The tool's end tells more than that its output broke off. */
function isBrokenPipe(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  return code === 'ECONNRESET' || code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE';
}
