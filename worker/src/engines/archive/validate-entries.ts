import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { type IndexEntry, storedBytesOf } from '../../artifact/entry.ts';
import { pathToText } from '../../artifact/path-text.ts';
import { encodeTarHeader, tarEndBytes, tarPaddingBytes } from '../../artifact/tar.ts';
import { headerBytesOf, readXattrs } from '../../artifact/tar-xattrs.ts';
import { pathKey } from './paths.ts';
import { ByteCursor } from './restore-cursor.ts';
import type { ValidateOptions } from './validate.ts';

const maxDiffering = 100;
const reportBytes = 1024 * 1024;

/** What was found so far; kept by the caller, so that it is there after a throw too. */
export interface CheckedFiles {
  filesChecked: number;
  bytesChecked: number;
  readonly differing: string[];
}

/**
 * Compares every entry of the index with the tar stream, in one pass. Goes on after a damaged entry, to name up to 100 of them. Returns the
 * first damage; throws when the index itself is damaged.
 */
export async function checkEntries(
  reader: ArtifactReader,
  { ref, signal, onProgress }: ValidateOptions,
  files: CheckedFiles,
): Promise<XVaultError | null> {
  const stored = ref.artifact_bytes + ref.index_bytes;
  const bytesTotal = stored + reader.tarBytes;
  const links = new LinkCheck(await linkTargets(reader, signal));
  const check = new StreamCheck(reader, signal, (position, item) => {
    onProgress?.({
      filesChecked: files.filesChecked,
      bytesDone: stored + position,
      bytesTotal,
      currentItem: item === null ? null : pathToText(item.path),
    });
  });
  let first: XVaultError | null = null;
  const note = (damage: XVaultError | null, path: Buffer | null): void => {
    if (damage === null) return;
    first ??= damage;
    if (path !== null) files.differing.push(pathToText(path));
  };
  try {
    for await (const entry of reader.entries(signal)) {
      const damage = (await check.entry(entry)) ?? links.entry(entry);
      note(damage, entry.path);
      if (entry.type === 'file' && damage === null) {
        files.filesChecked += 1;
        files.bytesChecked += storedBytesOf(entry);
      }
      if (files.differing.length >= maxDiffering) return first;
    }
    note(await check.end(), null);
  } finally {
    await check.close();
  }
  return first;
}

/** Whether it is what a backup writes; extended attributes stand in the header alone, their number in the index too. */
function isHeaderOf(entry: IndexEntry, header: Buffer): boolean {
  if (entry.xattrCount === undefined) return header.equals(encodeTarHeader(entry));
  const xattrs = readXattrs(header);
  return xattrs?.count === entry.xattrCount && header.equals(encodeTarHeader({ ...entry, xattrs }));
}

/** Walks through the tar stream entry by entry. */
class StreamCheck {
  readonly #reader: ArtifactReader;
  readonly #signal: AbortSignal;
  readonly #report: (position: number, entry: IndexEntry | null) => void;
  #cursor: ByteCursor;
  #position = 0;
  #reported = 0;

  constructor(
    reader: ArtifactReader,
    signal: AbortSignal,
    report: (position: number, entry: IndexEntry | null) => void,
  ) {
    this.#reader = reader;
    this.#signal = signal;
    this.#report = report;
    this.#cursor = this.#cursorAt(0);
  }

  /** The damage of one entry, or null. */
  async entry(entry: IndexEntry): Promise<XVaultError | null> {
    if (entry.pack !== null) return damaged('is in an artifact that is not this one', entry);
    if (entry.tarOffset !== this.#position) return damaged('is not where the one before it ends', entry);
    const headerBytes = entry.xattrCount === undefined ? encodeTarHeader(entry).length : headerBytesOf(entry);
    const dataEnd = entry.dataOffset + storedBytesOf(entry);
    const end = dataEnd + tarPaddingBytes(storedBytesOf(entry));
    if (headerBytes === undefined || entry.dataOffset !== entry.tarOffset + headerBytes) {
      return damaged('has a header of another size', entry);
    }
    if (end > this.#reader.tarBytes) return damaged('reaches beyond the end of the tar stream', entry);
    try {
      const same = isHeaderOf(entry, await this.#cursor.takeWhole(headerBytes));
      const sha256 = await this.#hash(entry);
      const padding = await this.#cursor.takeWhole(end - dataEnd);
      this.#position = end;
      if (!same) return damaged('has another tar header than the index says', entry);
      if (entry.type === 'file' && sha256 !== entry.sha256) return damaged('differs from its checksum', entry);
      return padding.every((byte) => byte === 0) ? null : damaged('is not padded with zeros', entry);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!isDamage(error)) throw error;
      // A frame or chunk is broken: go on with the next entry.
      await this.#cursor.close();
      this.#position = end;
      this.#cursor = this.#cursorAt(end);
      return error;
    }
  }

  /** Whether the stream ends as a tar does. */
  async end(): Promise<XVaultError | null> {
    const left = this.#reader.tarBytes - this.#position;
    if (left !== tarEndBytes) {
      return new XVaultError('ARTIFACT_CORRUPT', { detail: `the tar stream ends with ${left} bytes of its own` });
    }
    const end = await this.#cursor.takeWhole(left);
    if (!end.every((byte) => byte === 0)) {
      return new XVaultError('ARTIFACT_CORRUPT', { detail: 'the tar stream does not end with zeros' });
    }
    this.#report(this.#reader.tarBytes, null);
    return null;
  }

  async close(): Promise<void> {
    await this.#cursor.close();
  }

  #cursorAt(offset: number): ByteCursor {
    return new ByteCursor(this.#reader.readTar(offset, this.#reader.tarBytes - offset, this.#signal));
  }

  async #hash(entry: IndexEntry): Promise<string> {
    const hash = createHash('sha256');
    let position = entry.dataOffset;
    for await (const piece of this.#cursor.take(storedBytesOf(entry))) {
      hash.update(piece);
      position += piece.length;
      if (position - this.#reported < reportBytes) continue;
      this.#reported = position;
      this.#report(position, entry);
    }
    return hash.digest('hex');
  }
}

/** Every hard link's first name must have come before it. Memory grows with the number of files with several names. */
class LinkCheck {
  readonly #targets: ReadonlySet<string>;
  readonly #seen = new Set<string>();

  constructor(targets: ReadonlySet<string>) {
    this.#targets = targets;
  }

  entry(entry: IndexEntry): XVaultError | null {
    if (entry.type === 'hardlink') {
      const isKnown = entry.linkTarget !== null && this.#seen.has(pathKey(entry.linkTarget));
      return isKnown ? null : damaged('is a hard link to what is not there', entry);
    }
    if (entry.type === 'directory' || this.#targets.size === 0) return null;
    const key = pathKey(entry.path);
    if (this.#targets.has(key)) this.#seen.add(key);
    return null;
  }
}

async function linkTargets(reader: ArtifactReader, signal: AbortSignal): Promise<Set<string>> {
  const targets = new Set<string>();
  for await (const entry of reader.entries(signal)) {
    if (entry.type === 'hardlink' && entry.linkTarget !== null) targets.add(pathKey(entry.linkTarget));
  }
  return targets;
}

function damaged(what: string, entry: IndexEntry): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail: `${pathToText(entry.path)} ${what}` });
}

function isDamage(error: unknown): error is XVaultError {
  return error instanceof XVaultError && (error.code === 'ARTIFACT_CORRUPT' || error.code === 'ARTIFACT_TRUNCATED');
}
