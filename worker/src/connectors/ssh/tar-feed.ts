import { XVaultError } from '@xvault/shared/errors.ts';
import type { RemoteProcess } from './client.ts';
import { TarBytes } from './tar-bytes.ts';
import { beginLine, flushEntries } from './tar-command.ts';
import { BadTar, blockBytes } from './tar-fields.ts';
import { type TarEntry, TarReader } from './tar-reader.ts';

/** A regular file out of an archive; `data` is absent where it is too long to be held. */
export interface TarFile {
  readonly entry: TarEntry;
  readonly data: Buffer | undefined;
}

/** What tar said of one name: the file, that something else is there, or nothing at all. */
export type TarAnswer = TarFile | 'not a file' | 'nothing';

interface Waiting {
  /** Undefined for an entry that was only asked for to push others out. */
  readonly path: Buffer | undefined;
  readonly answer: (answer: TarAnswer) => void;
}

export interface TarFeedOptions {
  /** Longer files are not held. */
  readonly limitBytes: number;
  /** Bytes of a longer file that are still passed over, so that the entries after it can be had. */
  readonly patienceBytes: number;
  /** Expecting something and nothing coming for so long, the command counts as lost. */
  readonly stallMs: number;
  /** Whether tar takes names as they come; where not, exactly one {@link TarFeed.read} is allowed. */
  readonly streams: boolean;
}

const flushName = Buffer.from('.\0');
const firstLineBytes = 256 * 1024;

/** A remote tar that is given names while its archive is read: answers come in the order of the names. */
export class TarFeed {
  readonly #process: RemoteProcess;
  readonly #options: TarFeedOptions;
  readonly #bytes: TarBytes;
  readonly #stallTimer: NodeJS.Timeout;
  readonly #waiting: Waiting[] = [];
  readonly #ended = Promise.withResolvers<never>();
  #next = 0;
  #lastHeard = performance.now();
  #failure: unknown;

  constructor(process: RemoteProcess, options: TarFeedOptions) {
    this.#process = process;
    this.#options = options;
    this.#bytes = new TarBytes(this.#heard(process.stdout));
    this.#ended.promise.catch(() => undefined);
    this.#stallTimer = setInterval(() => this.#checkStall(), Math.max(10, options.stallMs / 4));
    this.#stallTimer.unref();
    void this.#pump().catch((error: unknown) => this.close(error));
  }

  get usable(): boolean {
    return this.#failure === undefined;
  }

  /** One answer for each name. Throws SOURCE_LOST, BadTar, TruncatedStream. */
  async read(paths: readonly Buffer[]): Promise<TarAnswer[]> {
    if (this.#failure !== undefined) throw this.#failure;
    if (this.#next === this.#waiting.length) this.#lastHeard = performance.now();
    const names: Buffer[] = [];
    const answers = paths.map((path) => {
      names.push(Buffer.from('./'), path, Buffer.from('\0'));
      return new Promise<TarAnswer>((answer) => this.#waiting.push({ path, answer }));
    });
    if (this.#options.streams) {
      for (let at = 0; at < flushEntries; at += 1) {
        names.push(flushName);
        this.#waiting.push({ path: undefined, answer: () => undefined });
      }
      this.#process.stdin.write(Buffer.concat(names));
    } else this.#process.stdin.end(Buffer.concat(names));
    return Promise.race([Promise.all(answers), this.#ended.promise]);
  }

  /** Ends the command. What is still asked for fails with the error. */
  close(error: unknown = new XVaultError('SOURCE_LOST', { detail: 'the session was closed' })): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearInterval(this.#stallTimer);
    this.#ended.reject(error);
    this.#process.kill();
    this.#process.stdout.destroy();
  }

  async #pump(): Promise<void> {
    await this.#bytes.skipLine(beginLine, firstLineBytes);
    for (let more = true; more; more = !this.#options.streams && (await this.#bytes.skipZeroBlocks(blockBytes))) {
      const reader = new TarReader(this.#bytes);
      for (let entry = await reader.next(); entry; entry = await reader.next()) {
        await this.#take(entry, reader);
      }
    }
    await this.#bytes.drain();
    const exit = await this.#process.exit;
    // It ends with an error wherever one name could not be had, so only a signal tells of an end that came too early.
    if (exit.code === null || this.#options.streams) {
      throw new BadTar(`tar ended (${exit.signal ?? exit.code}): ${this.#process.stderrTail()}`);
    }
    for (const { answer } of this.#waiting.splice(0)) answer('nothing');
    this.close(new BadTar('this tar has had its one list of names'));
  }

  async *#heard(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const chunk of chunks) {
      this.#lastHeard = performance.now();
      yield chunk;
    }
  }

  async #take(entry: TarEntry, reader: TarReader): Promise<void> {
    const path =
      entry.path.length > 2 && entry.path[0] === 0x2e && entry.path[1] === 0x2f ? entry.path.subarray(2) : entry.path;
    const isFlush = path.length === 1 && path[0] === 0x2e;
    for (;;) {
      const waiting = this.#shift();
      if (!waiting) throw new BadTar('an entry that was not asked for');
      const isIt = waiting.path === undefined ? isFlush : waiting.path.equals(path);
      if (!isIt) {
        waiting.answer('nothing');
        continue;
      }
      if (entry.type !== 'file')
        return waiting.answer(entry.type === 'other' || entry.type === 'hardlink' ? 'nothing' : 'not a file');
      if (entry.sizeBytes <= this.#options.limitBytes) return waiting.answer({ entry, data: await reader.content() });
      waiting.answer({ entry, data: undefined });
      if (entry.sizeBytes > this.#options.patienceBytes)
        throw new BadTar('a file that has become too long to be passed over');
      return undefined;
    }
  }

  #shift(): Waiting | undefined {
    const waiting = this.#waiting[this.#next];
    this.#next += 1;
    if (this.#next >= 1024) {
      this.#waiting.splice(0, this.#next);
      this.#next = 0;
    }
    return waiting;
  }

  #checkStall(): void {
    const idle = this.#next >= this.#waiting.length;
    if (idle || performance.now() - this.#lastHeard < this.#options.stallMs) return;
    this.close(new XVaultError('SOURCE_LOST', { detail: `tar said nothing for ${this.#options.stallMs} ms` }));
  }
}
