import { setTimeout as sleep } from 'node:timers/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { RcClient } from './rclone/rc-client.ts';

/** So often an object breaks at one byte before that is its own fault; a connection that only comes and goes does not do so. */
const pausesMs = [200, 1000];

/** An object broke off at the same byte each time that it was read. */
export class BrokenOffError extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
    this.name = 'BrokenOffError';
  }
}

/**
 * An object's bytes to its end; where reading breaks it goes on from there. Throws BrokenOffError; what `onBreak` throws, which is
 * asked each time whether to go on; SYNC_FAILED when rclone is gone; what rclone was kept from; the signal's reason.
 */
export async function* readOn(
  rc: RcClient,
  { fs, path, signal }: { readonly fs: string; readonly path: string; readonly signal: AbortSignal },
  onBreak: (error: Error) => Promise<void>,
): AsyncGenerator<Buffer> {
  let given = 0;
  let brokeAt = -1;
  for (let times = 0; ; ) {
    try {
      for await (const chunk of await rc.open(fs, path, signal, given)) {
        given += chunk.length;
        yield chunk as Buffer;
      }
      return;
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof XVaultError || !(error instanceof Error)) throw error;
      await onBreak(error);
      if (given !== brokeAt) times = 0;
      const pauseMs = pausesMs[times];
      if (pauseMs === undefined) throw new BrokenOffError(error);
      times += 1;
      brokeAt = given;
      await sleep(pauseMs, undefined, { signal });
    }
  }
}
