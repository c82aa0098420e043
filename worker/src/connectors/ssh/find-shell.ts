import { XVaultError } from '@xvault/shared/errors.ts';
import type { RemoteProcess } from './client.ts';
import { type FindQuestion, findBeginLine, questionLine } from './find-command.ts';
import { BadFind, type FoundItem, parseFound } from './find-records.ts';

/** The thing itself, and what is in it where that was asked; null where find did not end well. */
export type FindAnswer = { readonly item: FoundItem; readonly inside: readonly FoundItem[] } | null;

interface Asked {
  readonly question: FindQuestion;
  readonly path: Buffer;
  readonly resolve: (answer: FindAnswer) => void;
  readonly reject: (error: unknown) => void;
}

/** Longer than any name, symlink target and numbers together. */
const longestRecordBytes = 64 * 1024;
const firstLineBytes = 256 * 1024;
/** To start a program costs more than to list a directory. */
const mostAtOnce = 32;
const equals = 0x3d;

/** A shell on the far side that answers questions about paths; those of one moment with one find. */
export class FindShell {
  readonly #process: RemoteProcess;
  readonly #stallMs: number;
  readonly #stallTimer: NodeJS.Timeout;
  #asked: Asked[] = [];
  /** What was asked together, in the order of the answers. */
  readonly #sent: (readonly Asked[])[] = [];
  #found: FoundItem[] = [];
  #rest: Buffer = Buffer.alloc(0);
  #begun = false;
  #lastHeard = performance.now();
  #failure: unknown;

  /** Expecting something and nothing coming for `stallMs`, it counts as lost. */
  constructor(process: RemoteProcess, stallMs: number) {
    this.#process = process;
    this.#stallMs = stallMs;
    this.#stallTimer = setInterval(() => this.#checkStall(), Math.max(10, stallMs / 4));
    this.#stallTimer.unref();
    void this.#pump().catch((error: unknown) => this.close(error));
  }

  get usable(): boolean {
    return this.#failure === undefined;
  }

  /** `path` is relative to the root, which is `.`. Throws SOURCE_LOST, BadFind. */
  ask(question: FindQuestion, path: Buffer): Promise<FindAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      if (this.#asked.length === 0) setImmediate(() => this.#sendAsked());
      this.#asked.push({ question, path, resolve, reject });
      return undefined;
    });
  }

  /** Ends the shell. What is still asked for fails with the error. */
  close(error: unknown = new XVaultError('SOURCE_LOST', { detail: 'the session was closed' })): void {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearInterval(this.#stallTimer);
    for (const { reject } of [...this.#sent.splice(0).flat(), ...this.#asked.splice(0)]) reject(error);
    this.#process.kill();
    this.#process.stdout.destroy();
  }

  #sendAsked(): void {
    const byQuestion = Map.groupBy(this.#asked, ({ question }) => question);
    this.#asked = [];
    for (const alike of byQuestion.values()) {
      for (let at = 0; at < alike.length; at += mostAtOnce) this.#send(alike.slice(at, at + mostAtOnce));
    }
  }

  #send(together: readonly Asked[]): void {
    const [first] = together;
    if (first === undefined) return;
    if (this.#sent.length === 0) this.#lastHeard = performance.now();
    this.#sent.push(together);
    const paths = together.map(({ path }) => path);
    this.#process.stdin.write(questionLine(first.question, paths));
  }

  async #pump(): Promise<void> {
    for await (const chunk of this.#process.stdout) {
      this.#lastHeard = performance.now();
      this.#take(chunk as Buffer);
    }
    const { code, signal } = await this.#process.exit;
    throw new BadFind(`the shell for find ended (${signal ?? code}): ${this.#process.stderrTail()}`);
  }

  #take(chunk: Buffer): void {
    let data = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    if (!this.#begun) {
      const at = data.indexOf(`${findBeginLine}\n`);
      if (at === -1 && data.length > firstLineBytes) throw new BadFind('the expected first line did not come');
      this.#begun = at !== -1;
      if (this.#begun) data = data.subarray(at + findBeginLine.length + 1);
    }
    let from = 0;
    if (this.#begun) {
      for (let end = data.indexOf(0); end !== -1; end = data.indexOf(0, from)) {
        this.#record(data.subarray(from, end));
        from = end + 1;
      }
      if (data.length - from > longestRecordBytes) throw new BadFind('a record that does not end');
    }
    this.#rest = Buffer.from(data.subarray(from));
  }

  #record(record: Buffer): void {
    if (this.#sent.length === 0) throw new BadFind('an answer that was not asked for');
    if (record[0] !== equals) {
      this.#found.push(parseFound(record));
      return;
    }
    const together = this.#sent.shift() ?? [];
    const answers = answersIn(this.#found);
    this.#found = [];
    // Something that has gone is not there, and may not even be an error.
    if (record.toString('latin1') === '=0' && answers.length === together.length) {
      for (const [at, { resolve }] of together.entries()) resolve(answers[at] ?? null);
    } else if (together.length === 1) together[0]?.resolve(null);
    else for (const alone of together) this.#send([alone]);
  }

  #checkStall(): void {
    if (this.#sent.length === 0 || performance.now() - this.#lastHeard < this.#stallMs) return;
    this.close(new XVaultError('SOURCE_LOST', { detail: `find said nothing for ${this.#stallMs} ms` }));
  }
}

/** What was asked for comes before all that is in it. Throws BadFind. */
function answersIn(found: readonly FoundItem[]): { item: FoundItem; inside: FoundItem[] }[] {
  const answers: { item: FoundItem; inside: FoundItem[] }[] = [];
  for (const item of found) {
    const last = answers.at(-1);
    if (item.depth === 0) answers.push({ item, inside: [] });
    else if (last) last.inside.push(item);
    else throw new BadFind('something in a directory that was not there');
  }
  return answers;
}
