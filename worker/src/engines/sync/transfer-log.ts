import { XVaultError } from '@xvault/shared/errors.ts';
import type { LogLine } from './rclone/log-line.ts';
import { redact } from './redact.ts';

const maxItems = 1_000_000;
/** What is said of so many items is kept in rclone's words; of more, in the last of these. */
const maxWords = 10_000;
const maxCopied = 1_000_000;
/** From the source, whole or in parts at once; within the destination things are only moved away to be kept. */
const broughtOver = /^(Multi-thread )?Copied \((?!server-side)/;

export interface ItemError {
  readonly path: string;
  readonly words: string;
}

/** What rclone says while it works, sorted: single items that fail, and the rest for operators. */
export class TransferLog {
  readonly #tell: (words: string) => void;
  #items = new Map<string, string>();
  #lastItemWords = '';
  readonly #copied = new Set<string>();
  #lastError: string | null = null;

  /** @param tell is given every line that is not about success, redacted, for the operator's log. */
  constructor(tell: (words: string) => void) {
    this.#tell = tell;
  }

  add({ level, message, object, isJson }: LogLine): void {
    if (level === 'info') {
      if (object !== null && broughtOver.test(message) && this.#copied.size < maxCopied) this.#copied.add(object);
      return;
    }
    // What was answered to a call is the caller's to tell.
    if (message.startsWith('rc: "')) return;
    const words = redact(message).slice(0, 2000);
    this.#tell(object === null ? words : `${object}: ${words}`.slice(0, 2000));
    if (level === 'notice') return;
    if (!isJson || object === null) this.#lastError = words;
    else this.#addItem(object, words);
  }

  #addItem(path: string, words: string): void {
    if (this.#items.size < maxWords || this.#items.has(path)) this.#lastItemWords = words;
    if (this.#items.size <= maxItems) this.#items.set(path, this.#lastItemWords);
  }

  /**
   * Item errors since the last time, the last one of each item. Throws SYNC_FAILED when they are more than can be remembered: what is
   * forgotten would be taken for brought over.
   */
  takeItemErrors(): readonly ItemError[] {
    const items = this.#items;
    this.#items = new Map();
    if (items.size > maxItems) throw new XVaultError('SYNC_FAILED', { detail: `more than ${maxItems} items failed` });
    return Array.from(items, ([path, words]) => ({ path, words }));
  }

  /** Whether it was brought over, or may have been: only so many are remembered. */
  wasCopied(path: string): boolean {
    return this.brought()?.has(path) ?? true;
  }

  /** All that was brought over; null when only some of it is remembered. */
  brought(): ReadonlySet<string> | null {
    return this.#copied.size >= maxCopied ? null : this.#copied;
  }

  get lastError(): string | null {
    return this.#lastError;
  }
}
