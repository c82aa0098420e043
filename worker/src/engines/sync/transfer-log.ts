import type { LogLine } from './rclone/log-line.ts';
import { redact } from './redact.ts';

const maxItems = 10_000;

export interface ItemError {
  readonly path: string;
  readonly words: string;
}

/** What rclone says while it works, sorted: single items that fail, and the rest for operators. */
export class TransferLog {
  readonly #tell: (words: string) => void;
  #items: ItemError[] = [];
  #lastError: string | null = null;

  /** @param tell is given every line that is not about success, redacted, for the operator's log. */
  constructor(tell: (words: string) => void) {
    this.#tell = tell;
  }

  add({ level, message, object, isJson }: LogLine): void {
    if (level === 'info') return;
    const words = redact(message).slice(0, 2000);
    this.#tell(object === null ? words : `${object}: ${words}`.slice(0, 2000));
    if (level === 'notice') return;
    if (!isJson || object === null) this.#lastError = words;
    else if (this.#items.length < maxItems) this.#items.push({ path: object, words });
  }

  /** Item errors since the last time. */
  takeItemErrors(): readonly ItemError[] {
    const items = this.#items;
    this.#items = [];
    return items;
  }

  get lastError(): string | null {
    return this.#lastError;
  }
}
