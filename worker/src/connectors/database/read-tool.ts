import { XVaultError } from '@xvault/shared/errors.ts';
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
      tail = chunk.length < tailBytes ? Buffer.concat([tail, chunk]).subarray(-tailBytes) : chunk.subarray(-tailBytes);
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
