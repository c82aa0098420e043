import { webcrypto } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FileStream, Measure, ReadResult, SkippedItem, SourceEntry } from '../connector.ts';
import type { DatabaseDescription } from './description.ts';
import { databasesFolder, descriptionFile, directoryName, partBytes, partName } from './entry-names.ts';
import { PartBuffers } from './part-buffers.ts';
import type { Part } from './read-tool.ts';

/** One database that is to be dumped. */
export interface DumpUnit {
  readonly description: Omit<DatabaseDescription, 'started_at'>;
  /** The dump in parts. Ends only when it is whole; throws DATABASE_DUMP_FAILED, or DATABASE_NOT_FOUND when it has gone. */
  dump(buffers: PartBuffers, signal: AbortSignal): AsyncIterable<Part>;
}

/** A file beside the databases, made at the end. */
export interface ExtraFile {
  readonly path: string;
  content(signal: AbortSignal): Promise<Buffer>;
}

export interface DumpPlan {
  readonly units: readonly DumpUnit[];
  /** A database that has gone since it was looked up is a warning; else it fails the run. */
  readonly mayVanish: boolean;
  readonly extra: ExtraFile | null;
}

type ReadPart = Extract<ReadResult, { ok: true }> & { readonly sha256: Buffer };

/** Of parts that were listed and not yet asked for: more than a backup ever has at a time. */
const maxHeldBytes = 16 * partBytes;
/** Less than this does not keep a whole buffer from going round. */
const smallPartBytes = 1024 * 1024;
const fileMode = 0o600;
const directoryMode = 0o700;

/**
 * Dumps as entries of a source: the parts of each database one after another, each held in memory from when it is full to
 * when it is read. The consumer's pace is the tool's.
 */
export class DumpSource {
  readonly #plan: DumpPlan;
  readonly #buffers = new PartBuffers(partBytes);
  /** Contents by path, oldest first. */
  readonly #held = new Map<string, Part>();
  #heldBytes = 0;
  #dumpedBytes = 0;
  #dumpedDatabases = 0;

  constructor(plan: DumpPlan) {
    this.#plan = plan;
  }

  get dumpedBytes(): number {
    return this.#dumpedBytes;
  }

  get dumpedDatabases(): number {
    return this.#dumpedDatabases;
  }

  /** The folder of databases and all below it; not the source's root. */
  async *list(signal: AbortSignal): AsyncGenerator<SourceEntry | SkippedItem> {
    yield entryOf(databasesFolder, 'directory', 0);
    for (const unit of this.#plan.units) yield* this.#listDatabase(unit, signal);
  }

  /** The file beside them, where there is one. */
  async *listExtra(signal: AbortSignal): AsyncGenerator<SourceEntry> {
    const { extra } = this.#plan;
    if (extra !== null) yield this.#hold(extra.path, { data: await extra.content(signal) });
  }

  holds(entry: SourceEntry): boolean {
    return this.#held.has(keyOf(entry.path));
  }

  async read(entry: SourceEntry): Promise<ReadPart> {
    const key = keyOf(entry.path);
    const part = this.#held.get(key);
    if (part === undefined) throw new Error('a part was asked for that is not held any more');
    const { data } = part;
    this.#release(key, data);
    if (part.sha256 !== undefined) return { ok: true, entry, data, sha256: part.sha256, changed: false };
    // On a thread of its own, and so beside the compression.
    const sha256 = Buffer.from(await webcrypto.subtle.digest('SHA-256', data as Uint8Array<ArrayBuffer>));
    return { ok: true, entry, data, sha256, changed: false };
  }

  /** For consumers to whom parts are large files. */
  async open(entry: SourceEntry): Promise<FileStream> {
    const result = await this.read(entry);
    const { data, sha256 } = result;
    return {
      entry,
      whole: { data, sha256 },
      chunks: (async function* () {
        yield data;
      })(),
      changed: async () => false,
      close: async () => this.recycle([result]),
    };
  }

  recycle(results: readonly ReadResult[]): void {
    for (const result of results) if (result.ok) this.#buffers.giveBack(result.data);
  }

  measure(): Measure {
    const sizes = this.#plan.units.map(({ description }) => description.estimated_bytes);
    const parts = sizes.map((bytes) => 1 + Math.max(1, Math.ceil(bytes / partBytes)));
    return { fileCount: parts.reduce(add, 0), totalBytes: sizes.reduce(add, 0) };
  }

  async *#listDatabase(unit: DumpUnit, signal: AbortSignal): AsyncGenerator<SourceEntry | SkippedItem> {
    const { name, dump } = unit.description;
    const folder = `${databasesFolder}/${directoryName(name)}`;
    const description: DatabaseDescription = { ...unit.description, started_at: new Date().toISOString() };
    let parts = 0;
    try {
      for await (const part of unit.dump(this.#buffers, signal)) {
        // Only now it is sure that the database is there.
        if (parts === 0) yield* this.#begin(folder, description);
        parts += 1;
        this.#dumpedBytes += part.data.length;
        yield this.#hold(`${folder}/${partName(dump.file, parts)}`, this.#compact(part));
      }
    } catch (error) {
      const gone = error instanceof XVaultError && error.code === 'DATABASE_NOT_FOUND';
      if (!gone || parts > 0 || !this.#plan.mayVanish) throw error;
      yield { path: Buffer.from(folder), skipped: 'ITEM_VANISHED', detail: error.detail ?? 'the database has gone' };
      return;
    }
    if (parts === 0) throw new XVaultError('DATABASE_DUMP_FAILED', { detail: `the dump of ${name} is empty` });
    this.#dumpedDatabases += 1;
  }

  *#begin(folder: string, description: DatabaseDescription): Generator<SourceEntry> {
    yield entryOf(folder, 'directory', 0);
    yield this.#hold(`${folder}/${descriptionFile}`, {
      data: Buffer.from(`${JSON.stringify(description, null, 2)}\n`),
    });
  }

  #compact(part: Part): Part {
    if (part.data.length > smallPartBytes) return part;
    const data = Buffer.from(part.data);
    this.#buffers.giveBack(part.data);
    return { ...part, data };
  }

  #hold(path: string, content: Part): SourceEntry {
    this.#held.set(path, content);
    this.#heldBytes += content.data.length;
    // What a filter leaves out is never asked for.
    for (const [oldest, { data }] of this.#held) {
      if (this.#heldBytes <= maxHeldBytes) break;
      this.#release(oldest, data);
      this.#buffers.giveBack(data);
    }
    return entryOf(path, 'file', content.data.length);
  }

  #release(key: string, data: Buffer): void {
    this.#held.delete(key);
    this.#heldBytes -= data.length;
  }
}

export function entryOf(path: string, type: 'file' | 'directory', sizeBytes: number): SourceEntry {
  const mode = type === 'file' ? fileMode : directoryMode;
  const mtimeNs = BigInt(Date.now()) * 1_000_000n;
  return { path: Buffer.from(path), type, sizeBytes, mode, uid: 0, gid: 0, mtimeNs };
}

function keyOf(path: Buffer): string {
  return path.toString();
}

function add(a: number, b: number): number {
  return a + b;
}
