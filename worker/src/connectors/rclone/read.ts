import { setTimeout as sleep } from 'node:timers/promises';
import { XVaultError } from '@xvault/shared/errors.ts';
import { classify } from '../../engines/sync/rclone/classify.ts';
import { RcError } from '../../engines/sync/rclone/rc-client.ts';
import type { FileStream, ItemCode, ReadResult, SkippedItem, SourceEntry } from '../connector.ts';
import { codeOf, isPassing, listDirectory, type RcloneLink, sourceError } from './link.ts';

const tries = 4;
/** Some backends cut the answer off where they may not read a file, and say no more. */
const unclearTries = 3;
const baseDelayMs = 250;
/** Until rclone's log has come through its pipe. */
const logWaitMs = 100;
/** Google exports no document larger than this. */
const mostUnmeasuredBytes = 32 * 1024 * 1024;

/** A whole file, of which the size may not be known before. */
export async function readFile(link: RcloneLink, listed: SourceEntry, signal: AbortSignal): Promise<ReadResult> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      const data = await collect(link, listed, signal);
      if (data === null) return { ok: false, skipped: skip(listed, 'ITEM_UNSUPPORTED', 'too large to read at once') };
      return { ok: true, entry: { ...listed, sizeBytes: data.length }, data, changed: false };
    } catch (error) {
      const code = await whatNow(link, listed, error, { attempt, signal });
      if (code !== 'again') return { ok: false, skipped: code };
    }
  }
}

async function collect({ rc, fs }: RcloneLink, listed: SourceEntry, signal: AbortSignal): Promise<Buffer | null> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const content = await rc.open(fs, listed.path.toString(), signal);
  for await (const chunk of content) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes > mostUnmeasuredBytes) {
      content.destroy();
      return null;
    }
  }
  return Buffer.concat(chunks);
}

/** A large file in order; where the transfer breaks it goes on where it was. */
export async function openFile(
  link: RcloneLink,
  listed: SourceEntry,
  signal: AbortSignal,
): Promise<FileStream | SkippedItem> {
  const path = listed.path.toString();
  for (let attempt = 1; ; attempt += 1) {
    try {
      const first = await link.rc.open(link.fs, path, signal);
      const stop = new AbortController();
      return {
        entry: listed,
        chunks: resumed(link, listed, first, AbortSignal.any([signal, stop.signal])),
        changed: () => hasChanged(link, listed, signal),
        async close() {
          first.destroy();
          stop.abort(new Error('closed'));
        },
      };
    } catch (error) {
      const code = await whatNow(link, listed, error, { attempt, signal });
      if (code !== 'again') return code;
    }
  }
}

async function* resumed(
  { rc, fs }: RcloneLink,
  { path, sizeBytes }: SourceEntry,
  first: AsyncIterable<Buffer>,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  let given = 0;
  let content: AsyncIterable<Buffer> | null = first;
  for (let failures = 0; given < sizeBytes; ) {
    try {
      content ??= await rc.open(fs, path.toString(), signal, given);
      for await (const chunk of content) {
        const part = chunk.subarray(0, sizeBytes - given);
        given += part.length;
        failures = 0;
        if (part.length > 0) yield part;
      }
      // It ends early when the file shrank.
      return;
    } catch (error) {
      signal.throwIfAborted();
      failures += 1;
      // It is gone, or shorter than what was given: told as changed.
      if (error instanceof RcError && (error.httpStatus === 404 || error.httpStatus === 416)) return;
      if (failures === tries)
        throw new XVaultError('SOURCE_LOST', { detail: `reading broke off: ${String(error)}`, cause: error });
      content = null;
      await sleep(baseDelayMs * 2 ** failures, undefined, { signal });
    }
  }
}

async function hasChanged(link: RcloneLink, { path, sizeBytes, mtimeNs }: SourceEntry, signal: AbortSignal) {
  const text = path.toString();
  const listing = await listDirectory(link, text.includes('/') ? text.slice(0, text.lastIndexOf('/')) : '', signal);
  const now = listing.find((item) => item.path === text);
  if (now === undefined || now.sizeBytes !== sizeBytes) return true;
  const ms = now.mtime === null ? 0 : Date.parse(now.mtime);
  return BigInt(ms) !== mtimeNs / 1_000_000n;
}

/** Whether to try again, or that this one item cannot be had. Throws when the source as a whole is gone. */
async function whatNow(
  link: RcloneLink,
  listed: SourceEntry,
  error: unknown,
  { attempt, signal }: { readonly attempt: number; readonly signal: AbortSignal },
): Promise<'again' | SkippedItem> {
  signal.throwIfAborted();
  if (error instanceof XVaultError) throw error;
  if (error instanceof RcError && error.httpStatus === 404)
    return skip(listed, 'ITEM_VANISHED', 'it is not there any more');
  await sleep(logWaitMs, undefined, { signal });
  const words = link.wordsOf(listed.path.toString()) ?? String(error);
  const told = classify(words);
  const isCut = !(error instanceof RcError);
  if (told.event === 'ERROR_NOT_FOUND') return skip(listed, 'ITEM_VANISHED', words);
  if (told.event === 'ERROR_PERMISSION') return skip(listed, 'ITEM_UNREADABLE', words);
  const isUnclear = isCut || told.event === 'ERROR_INTERNAL';
  if (attempt < (isUnclear ? unclearTries : isPassing(told) ? tries : 0)) {
    await sleep(baseDelayMs * 2 ** attempt, undefined, { signal });
    return 'again';
  }
  // The item's own fault only if the rest can still be reached.
  await listDirectory(link, '', signal).catch((gone: unknown) => {
    throw sourceError(link, gone, 'the source does not answer any more');
  });
  if (told.event !== 'ERROR_INTERNAL' && !isCut)
    throw new XVaultError(codeOf(link, told), { detail: words, cause: error });
  return skip(listed, 'ITEM_UNREADABLE', words);
}

function skip({ path }: SourceEntry, skipped: ItemCode, detail: string): SkippedItem {
  return { path, skipped, detail: detail.slice(0, 500) };
}
