import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { SourceEntry } from '../connector.ts';
import { TargetItemError } from '../target.ts';
import { closeHandle, createFile, isFull, removeFile, replace, setHandleAttrs, writeAt } from './changes.ts';
import type { SftpLink, SftpLinks } from './link.ts';
import { SftpStatusError } from './status.ts';
import { itemError, type TargetPaths } from './target-paths.ts';
import type { SftpWire } from './wire.ts';

/** What every server takes in one request. */
const writeBytes = 32 * 1024;
const writesInFlight = 32;

/** Whole seconds of 1970 to 2106 are all that the protocol has. */
export function mtimeSeconds(mtimeNs: bigint): number {
  const seconds = mtimeNs / 1_000_000_000n;
  return Number(seconds < 0n ? 0n : seconds > 0xffffffffn ? 0xffffffffn : seconds);
}

/** Writes files beside where they belong and moves them there when they are whole. */
export class TargetWriter {
  readonly #links: SftpLinks;
  readonly #paths: TargetPaths;
  readonly #tag: string;

  constructor(links: SftpLinks, paths: TargetPaths, tag: string) {
    this.#links = links;
    this.#paths = paths;
    this.#tag = tag;
  }

  /** Always the same for one path and run, so that what a killed attempt left is replaced. */
  temporaryName(path: Buffer): Buffer {
    const remote = this.#paths.remote(path);
    const hash = createHash('sha256').update(path).digest('hex').slice(0, 20);
    const directory = remote.subarray(0, remote.lastIndexOf(0x2f) + 1);
    return Buffer.concat([directory, Buffer.from(`.xvault-${this.#tag}-${hash}`)]);
  }

  /** Throws TargetItemError, STORAGE_FULL, SOURCE_LOST, what the content throws, or the signal's reason. */
  async write(entry: SourceEntry, content: AsyncIterable<Buffer>, signal: AbortSignal): Promise<void> {
    const remote = await this.#paths.replaceable(entry.path);
    const temporary = this.temporaryName(entry.path);
    const { link, handle } = await this.#links.run(
      (live) => itemError('it could not be created', this.#create(live, temporary, signal)),
      signal,
    );
    const { wire } = link;
    let attrsError: unknown;
    let open = true;
    try {
      await writeAll(wire, handle, content, signal);
      attrsError = await setHandleAttrs(wire, handle, entry.mode, mtimeSeconds(entry.mtimeNs)).catch(statusOnly);
      open = false;
      await closeHandle(wire, handle, signal);
      await replace(wire, temporary, remote);
    } catch (error) {
      if (open) wire.release(handle);
      // While the half file still fills the disk.
      const judged = await judge(wire, temporary, error);
      // A broken connection leaves it; the next attempt has the same name for it.
      await removeFile(wire, temporary).catch(() => undefined);
      throw judged;
    }
    if (attrsError) throw new TargetItemError('written, but its mode and time could not be set', { cause: attrsError });
  }

  async #create(link: SftpLink, temporary: Buffer, signal: AbortSignal): Promise<{ link: SftpLink; handle: Buffer }> {
    try {
      return { link, handle: await createFile(link.wire, temporary, signal) };
    } catch (error) {
      if (!(error instanceof SftpStatusError)) throw error;
      if (await isFull(link.wire, parentOf(temporary)).catch(() => false)) throw full(error);
      await removeFile(link.wire, temporary).catch(statusOnly);
      return { link, handle: await createFile(link.wire, temporary, signal) };
    }
  }
}

async function writeAll(wire: SftpWire, handle: Buffer, content: AsyncIterable<Buffer>, signal: AbortSignal) {
  const inFlight: Promise<void>[] = [];
  let offset = 0;
  for await (const chunk of content) {
    for (let at = 0; at < chunk.length; at += writeBytes) {
      signal.throwIfAborted();
      // Copied into its request at once: the chunk is the reader's again when the next one is asked for.
      const piece = chunk.subarray(at, at + writeBytes);
      const writing = writeAt(wire, handle, offset, piece, signal);
      writing.catch(() => undefined);
      inFlight.push(writing);
      offset += piece.length;
      if (inFlight.length >= writesInFlight) await inFlight.shift();
    }
  }
  await Promise.all(inFlight);
}

/** The protocol has no word for a full disk: it is looked for when something was refused. */
async function judge(wire: SftpWire, path: Buffer, error: unknown): Promise<unknown> {
  if (!(error instanceof SftpStatusError)) return error;
  if (await isFull(wire, parentOf(path)).catch(() => false)) return full(error);
  return new TargetItemError(`it could not be written: ${error.message}`, { cause: error });
}

function full(cause: unknown): XVaultError {
  return new XVaultError('STORAGE_FULL', { detail: 'the server that is restored to has no room left', cause });
}

function parentOf(remote: Buffer): Buffer {
  return remote.subarray(0, Math.max(1, remote.lastIndexOf(0x2f)));
}

function statusOnly(error: unknown): SftpStatusError {
  if (error instanceof SftpStatusError) return error;
  throw error;
}
