import { isSkipped, type ReadResult, type SourceEntry, type SourceSession } from '../connector.ts';
import { type FoundItem, secondsOf } from './find-records.ts';
import { Finder, type FinderOptions } from './finder.ts';

/**
 * A session whose files have the fractions of seconds that find tells, and which notices changes within one second while a
 * large file is read.
 */
export function exactSession(session: SourceSession, options: FinderOptions): SourceSession {
  const finder = new Finder(options);
  const { state } = options;
  let followSymlinks = false;

  async function look(path: Buffer, signal: AbortSignal): Promise<FoundItem | undefined> {
    return (await finder.ask(followSymlinks ? 'followed item' : 'item', path, signal))?.item;
  }

  return {
    ...session,
    list(given) {
      followSymlinks = given.followSymlinks === true;
      return session.list(given);
    },
    async readMany(entries, signal) {
      const results = await session.readMany(entries, signal);
      return results.map((result, at) => withListedTime(result, entries[at]));
    },
    async open(entry, signal) {
      const stream = await session.open(entry, signal);
      if (isSkipped(stream)) return stream;
      const before = await look(entry.path, signal);
      if (before?.type !== 'file' || !isSameSecond(before, stream.entry)) return stream;
      return {
        ...stream,
        entry: { ...stream.entry, mtimeNs: before.mtimeNs },
        async changed() {
          if (await stream.changed()) return true;
          const after = await look(entry.path, signal);
          // Under another file's name since, the one that was read is whole.
          if (after?.identity !== before.identity) return false;
          return after.mtimeNs !== before.mtimeNs || after.sizeBytes !== before.sizeBytes;
        },
      };
    },
    describe: () => ({
      ...session.describe?.(),
      listing: state.reason === null ? 'find' : 'sftp',
      ...(state.reason === null ? {} : { listing_reason: state.reason.slice(0, 200) }),
    }),
    async close() {
      finder.close();
      await session.close();
    },
  };
}

/** SFTP and some programs give whole seconds: what the list said is kept where it is the same second. */
function withListedTime(result: ReadResult, listed: SourceEntry | undefined): ReadResult {
  if (!result.ok || !listed || result.changed) return result;
  const { entry } = result;
  const isWhole = secondsOf(entry.mtimeNs) * 1_000_000_000n === entry.mtimeNs;
  return isWhole && isSameSecond(listed, entry) ? { ...result, entry: { ...entry, mtimeNs: listed.mtimeNs } } : result;
}

interface Dated {
  readonly sizeBytes: number;
  readonly mtimeNs: bigint;
}

function isSameSecond(exact: Dated, entry: Dated): boolean {
  return exact.sizeBytes === entry.sizeBytes && secondsOf(exact.mtimeNs) === secondsOf(entry.mtimeNs);
}
