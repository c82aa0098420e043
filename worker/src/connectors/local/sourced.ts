import { sourceFailure } from '../../native/threads.ts';
import { untilAborted } from '../../net/until-aborted.ts';

/** The outcome of native work; its failures are the source's. */
export function sourced<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const named = work.catch((error: unknown) => {
    throw sourceFailure(error);
  });
  return untilAborted(handled(named), signal);
}

/** For promises that are looked at later: until then a failure must not count as unhandled. */
export function handled<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => undefined);
  return promise;
}
