import { pathKey } from './paths.ts';
import type { RestoreOrigin } from './restore-origin.ts';
import type { PlacedEntry } from './restore-placing.ts';
import { type RestoreListener, RestoreTally } from './restore-tally.ts';
import { type Writing, writeEntries } from './restore-writing.ts';

/** How often what another run moved while it was read is read again. */
const roundsAtMost = 5;

type Place = Pick<PlacedEntry, 'place' | 'action'>;

/** Remembers where each file went, for origins that may have to be read again. */
export class Rereading {
  readonly #origin: RestoreOrigin;
  readonly #listener: RestoreListener;
  readonly #places = new Map<string, Place>();

  constructor(origin: RestoreOrigin, listener: RestoreListener) {
    this.#origin = origin;
    this.#listener = listener;
  }

  async *noted(entries: AsyncIterable<PlacedEntry>): AsyncGenerator<PlacedEntry> {
    for await (const entry of entries) {
      const { member, place, action } = entry;
      if (this.#origin.moved !== undefined) this.#places.set(pathKey(member.path), { place, action });
      yield entry;
    }
  }

  /** Writes again what was moved while it was read; what never comes to rest is told of as failed. */
  async writeMoved(writing: Writing): Promise<void> {
    for (let round = 1; ; round += 1) {
      const moved = (await this.#origin.moved?.()) ?? [];
      const again = moved.flatMap((entry) => {
        const at = this.#places.get(pathKey(entry.member.path));
        return at === undefined ? [] : [{ ...entry, ...at, first: null }];
      });
      if (again.length === 0) return;
      if (round > roundsAtMost) {
        for (const { member } of again) this.#listener.onFailed(member.path, 'it was moved again and again');
        return;
      }
      // They were counted when they were first written.
      const tally = new RestoreTally(false, { onFailed: this.#listener.onFailed.bind(this.#listener) });
      await writeEntries({ ...writing, tally }, each(again));
    }
  }
}

async function* each(entries: readonly PlacedEntry[]): AsyncGenerator<PlacedEntry> {
  yield* entries;
}
