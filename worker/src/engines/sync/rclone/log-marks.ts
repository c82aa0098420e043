import { randomBytes } from 'node:crypto';
import type { LogLine } from './log-line.ts';
import { type RcClient, RcError } from './rc-client.ts';

/** Tells when rclone's log has been read as far as it is written: it comes by another way than answers do, and may come later. */
export class LogMarks {
  readonly #waiting = new Map<string, () => void>();

  /** Whether the line is one of its own, to be shown to nobody. */
  take({ message }: LogLine): boolean {
    const mark = /^rc: "(mark-[\da-f]+)"/.exec(message)?.[1];
    if (mark === undefined) return false;
    this.#waiting.get(mark)?.();
    this.#waiting.delete(mark);
    return true;
  }

  /** Resolves when all that was said before was read, or rclone is gone. Throws as calls do. */
  async reach(rc: RcClient, ended: Promise<unknown>, signal: AbortSignal): Promise<void> {
    const mark = `mark-${randomBytes(8).toString('hex')}`;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.set(mark, resolve);
    try {
      // rclone says of what it does not know that it does not know it, in its log and before it answers.
      await rc.call(mark, {}, signal);
    } catch (error) {
      if (!(error instanceof RcError)) throw error;
      await Promise.race([promise, ended]);
    } finally {
      this.#waiting.delete(mark);
    }
  }
}
