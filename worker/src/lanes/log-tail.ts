const maxBytes = 60 * 1024;

/** The last lines of a run for operators, bounded. */
export class LogTail {
  #lines: string[] = [];
  #bytes = 0;

  add(line: string): void {
    const cut = line.slice(0, 2000);
    this.#lines.push(cut);
    this.#bytes += Buffer.byteLength(cut) + 1;
    while (this.#bytes > maxBytes) this.#bytes -= Buffer.byteLength(this.#lines.shift() ?? '') + 1;
  }

  text(): string | null {
    return this.#lines.length === 0 ? null : this.#lines.join('\n');
  }
}
