import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { RunningTool, ToolOutcome } from './tool-host.ts';

/**
 * Gives a tool all of its input and waits for its end. When the content breaks off the tool is ended first, so that it never
 * takes a part for the whole; then the content's error is thrown.
 */
export async function feedTool(tool: RunningTool, content: AsyncIterable<Buffer>): Promise<ToolOutcome> {
  const { stdin } = tool;
  if (stdin === null) throw new Error('the tool has no input');
  let broken: { readonly error: unknown } | undefined;
  async function* guarded(): AsyncGenerator<Buffer> {
    try {
      yield* content;
    } catch (error) {
      broken = { error };
      tool.kill();
      await tool.outcome;
      throw error;
    }
  }
  tool.stdout.resume();
  // A tool that ends before its input does is judged by how it ended.
  await pipeline(Readable.from(guarded()), stdin).catch(() => undefined);
  const outcome = await tool.outcome;
  if (broken !== undefined) throw broken.error;
  return outcome;
}
