import { z } from 'zod';
import { listObjects } from './listing.ts';
import { type RcClient, RcError } from './rclone/rc-client.ts';
import { BrokenOffError, readOn } from './read-on.ts';

/** More than that are not single items. */
const mostItems = 100;
/** For all of them. What is not broken by then is not known to be. */
const readingMs = 300_000;
/** One that is broken breaks at one byte; where it breaks ever further on, the way to it does. */
const mostBreaks = 8;
const found = z.object({ item: z.looseObject({}).nullable() });

export interface SourceItems {
  readonly rc: RcClient;
  readonly srcFs: string;
  readonly signal: AbortSignal;
}

/** Whether each of these breaks also when it alone is read at the source, so that it and not the way to it is at fault. */
export async function areBrokenAlone(source: SourceItems, paths: readonly string[]): Promise<boolean> {
  if (paths.length > mostItems) return false;
  const deadline = AbortSignal.timeout(readingMs);
  const signal = AbortSignal.any([source.signal, deadline]);
  for (const path of paths) {
    try {
      if (!(await isBroken({ ...source, signal }, path))) return false;
    } catch (error) {
      source.signal.throwIfAborted();
      if (deadline.aborted) return false;
      throw error;
    }
  }
  return true;
}

async function isBroken({ rc, srcFs, signal }: SourceItems, path: string): Promise<boolean> {
  const root = { fs: srcFs, recursive: false, filesOnly: false, withMtime: false, withHashes: false };
  try {
    const one = { fs: srcFs, remote: path, opt: { filesOnly: true } };
    // A directory that broke holds more than itself.
    if (found.parse(await rc.call('operations/stat', one, signal)).item === null) return false;
    let breaks = 0;
    const answers = async (error: Error) => {
      breaks += 1;
      if (breaks > mostBreaks) throw new RcError('open', 0, error.message);
      await listObjects(rc, root, signal);
    };
    for await (const _ of readOn(rc, { fs: srcFs, path, signal }, answers));
    return false;
  } catch (error) {
    if (error instanceof BrokenOffError) return true;
    // Then it is the source that does not answer, or the way to it that breaks.
    if (error instanceof RcError) return false;
    throw error;
  }
}
