import { XVaultError } from '@xvault/shared/errors.ts';
import { TargetItemError } from '../../connectors/target.ts';
import { pathKey } from './paths.ts';
import type { Filled } from './restore-contents.ts';
import { WorkSlots } from './restore-in-order.ts';
import type { RestoreOrigin } from './restore-origin.ts';
import { asSourceEntry, type PlacedEntry, type Placing } from './restore-placing.ts';
import type { RestoreProgress } from './restore-progress.ts';
import type { SteadyTarget } from './restore-steady.ts';
import type { RestoreTally } from './restore-tally.ts';

/** Files up to this are held in memory, so that several are written at a time. */
const smallBytes = 1024 * 1024;

export interface Writing {
  readonly origin: RestoreOrigin;
  readonly target: SteadyTarget;
  readonly placing: Placing;
  readonly tally: RestoreTally;
  readonly progress: RestoreProgress;
  readonly throttle?: (bytes: number, signal: AbortSignal) => Promise<void>;
  readonly signal: AbortSignal;
}

/** Where the first names of hard links were written; null when they could not be. */
type Written = Map<string, Promise<Buffer | null>>;

/** Writes the entries, contents in the order that they come in, several at a time. */
export async function writeEntries(writing: Writing, entries: AsyncIterable<PlacedEntry>): Promise<void> {
  const { origin, target, signal } = writing;
  const slots = new WorkSlots(target.writesInFlight);
  const written: Written = new Map();
  try {
    for await (const entry of origin.fill(entries, signal)) await startOne(writing, slots, written, entry);
  } catch (error) {
    // What broke in the writing came first: reading on after it finds nothing good.
    await slots.finished();
    throw error;
  }
  await slots.finished();
}

/** Modes and times, once nothing changes in the directories any more; those below before those above. */
export async function finishDirectories({ target, placing, tally }: Writing): Promise<void> {
  for (const directories of placing.unfinished()) {
    const slots = new WorkSlots(target.writesInFlight);
    try {
      for (const directory of directories) {
        await slots.start(async () => {
          try {
            await target.do((session) => session.finishDirectory(directory));
          } catch (error) {
            if (!(error instanceof TargetItemError)) throw error;
            tally.unfinished(directory.path, error.message);
          }
        });
      }
      await slots.finished();
    } finally {
      await slots.settled();
    }
  }
}

async function startOne(
  writing: Writing,
  slots: WorkSlots,
  written: Written,
  entry: Filled<PlacedEntry>,
): Promise<void> {
  const { member } = entry;
  const done = Promise.withResolvers<Buffer | null>();
  if (entry.isLinked) written.set(pathKey(member.path), done.promise);
  const settle = (success: boolean): void => done.resolve(success ? entry.place : null);
  if (member.type === 'symlink') {
    const link = asSourceEntry(member, entry.place);
    return slots.start(() => carryOut(writing, entry, settle, (session) => session.makeSymlink(link)));
  }
  if (member.type === 'hardlink') {
    return slots.start(() => writeHardlink(writing, entry, written, settle));
  }
  if (member.sizeBytes <= smallBytes) {
    const pieces: Buffer[] = [];
    for await (const piece of entry.chunks) pieces.push(piece);
    // A copy: what is read is shared with later reads.
    const content = Buffer.concat(pieces);
    return slots.start(() => writeContent(writing, entry, settle, () => once(content)));
  }
  let isFirst = true;
  const content = (): AsyncIterable<Buffer> => {
    const chunks = isFirst ? entry.chunks : writing.origin.contentOf(entry, writing.signal);
    isFirst = false;
    return chunks;
  };
  const finished = Promise.withResolvers<void>();
  await slots.start(() => writeContent(writing, entry, settle, content).finally(() => finished.resolve()));
  // Its content must be read before the next one's.
  await finished.promise;
}

async function writeHardlink(
  writing: Writing,
  entry: PlacedEntry,
  written: Written,
  settle: (success: boolean) => void,
): Promise<void> {
  const { first, member, place } = entry;
  if (first === null || member.linkTarget === null) throw new Error('a hard link without its first name');
  const key = pathKey(member.linkTarget);
  const existing = (await written.get(key)) ?? writing.placing.doneBefore.get(key) ?? null;
  if (existing !== null && writing.target.linksHard) {
    return carryOut(writing, entry, settle, async (session) => session.makeHardlink?.(place, existing));
  }
  return writeContent(writing, entry, settle, () => writing.origin.contentOf(first, writing.signal));
}

async function writeContent(
  writing: Writing,
  entry: PlacedEntry,
  settle: (success: boolean) => void,
  content: () => AsyncIterable<Buffer>,
): Promise<void> {
  const { signal } = writing;
  const file = asSourceEntry(entry.member, entry.place);
  let sourceFault: { readonly error: unknown } | null = null;
  async function* watched(): AsyncGenerator<Buffer> {
    try {
      for await (const chunk of content()) {
        await writing.throttle?.(chunk.length, signal);
        writing.progress.addBytes(chunk.length);
        yield chunk;
      }
    } catch (error) {
      sourceFault = { error };
      throw error;
    }
  }
  try {
    await carryOut(
      writing,
      entry,
      settle,
      (session) => session.writeFile(file, watched(), signal),
      () => sourceFault,
    );
  } finally {
    settle(false);
  }
}

type Work = Parameters<SteadyTarget['do']>[0];

/** One path: that it fails is told; that the connection or the snapshot fails is thrown. */
async function carryOut(
  { target, tally, progress, signal }: Writing,
  { member, action, place }: PlacedEntry,
  settle: (success: boolean) => void,
  work: Work,
  sourceFault: () => { readonly error: unknown } | null = () => null,
): Promise<void> {
  try {
    await target.do(work);
    tally.done(action, member, place);
    settle(true);
  } catch (error) {
    signal.throwIfAborted();
    const fault = sourceFault();
    if (fault !== null) throw fault.error;
    if (!(error instanceof TargetItemError)) throw error;
    tally.fault(member, error.message);
    if (tally.isHopeless)
      throw new XVaultError('RESTORE_FAILED', { detail: `nothing works any more: ${error.message}` });
  } finally {
    settle(false);
    progress.entryDone(member);
  }
}

async function* once(content: Buffer): AsyncGenerator<Buffer> {
  if (content.length > 0) yield content;
}
