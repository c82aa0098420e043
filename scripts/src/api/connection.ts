import { setTimeout as sleep } from 'node:timers/promises';

const tries = 3;
const pauseMs = 100;

/** fetch says TypeError for every broken connection, whether before an answer or in the middle of one. */
export function isBroken(error: unknown): boolean {
  return error instanceof TypeError;
}

/**
 * `fetch`, saying what broke where it says `fetch failed` alone. What is `repeatable` is sent again: a connection that lay idle may be
 * closed by the other side in the very moment in which it is used, and only the sender can know whether sending twice does any harm.
 */
export async function send(url: string, init: RequestInit, repeatable: boolean): Promise<Response> {
  for (let left = repeatable ? tries : 1; ; left -= 1) {
    try {
      return await fetch(url, init);
    } catch (error) {
      init.signal?.throwIfAborted();
      if (!isBroken(error)) throw error;
      if (left === 1)
        throw new TypeError(`no answer from ${new URL(url).origin}: ${reasonOf(error)}`, { cause: error });
      await sleep(pauseMs);
    }
  }
}

/** The innermost cause; of several addresses that were tried, the first one's. */
function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  return error.cause === undefined ? error.message : reasonOf(error.cause);
}
