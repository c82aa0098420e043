import { type EventDraft, nowMicros, type WorkerEvent } from '@xvault/shared/events.ts';

/** Events of one attempt, numbered, kept until the Hub says that it has them. */
export class EventBuffer {
  readonly #cap: number;
  #seq = 0;
  #pending: WorkerEvent[] = [];
  #capped = false;

  /** @param cap how many events an attempt may send; one more says that the rest is not listed. */
  constructor(cap: number) {
    this.#cap = cap;
  }

  add(draft: EventDraft): void {
    if (this.#seq >= this.#cap) {
      if (this.#capped) return;
      this.#capped = true;
      this.#push({ type: 'warning', level: 'warn', code: 'EVENTS_CAPPED', message_id: 'events_capped', params: {} });
      return;
    }
    this.#push(draft);
  }

  /** The oldest events not yet stored, at most `limit`. */
  batch(limit: number): WorkerEvent[] {
    return this.#pending.slice(0, limit);
  }

  storedTo(seq: number): void {
    this.#pending = this.#pending.filter((event) => event.seq > seq);
  }

  #push(draft: EventDraft): void {
    this.#seq += 1;
    this.#pending.push({ ...draft, seq: this.#seq, ts: nowMicros() });
  }
}
