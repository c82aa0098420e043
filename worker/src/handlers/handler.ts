import type { EventDraft } from '@xvault/shared/events.ts';
import type { NotesRequest, notesResponse, Progress, StartResponse } from '@xvault/shared/internal-api.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import type { ResultInput, RunKind, SpecOf } from '@xvault/shared/run-kinds.ts';
import type { z } from 'zod';
import type { BandwidthLimit } from '../engines/archive/bandwidth.ts';

/** What a handler is given of the attempt that it carries out. */
export interface RunContext<K extends RunKind> {
  readonly start: StartResponse;
  readonly spec: SpecOf<K>;
  /** Aborts with a RunStopped as its reason. */
  readonly signal: AbortSignal;
  /** What the Hub allows this run at the moment. */
  readonly bandwidth: BandwidthLimit;
  readonly logger: Logger;
  /** For operators: kept with the run, bounded; no secrets. */
  note(line: string): void;
  /** Keeps at the Hub what must outlast the attempt. Throws when the attempt is no longer this worker's. */
  keep(notes: Pick<NotesRequest, 'diagnostics' | 'connection'>): Promise<z.infer<typeof notesResponse>>;
  emit(event: EventDraft): void;
  /** Kept and sent with the next heartbeat. */
  progress(progress: Progress): void;
  /** One more item that needs the customer's attention: the run will end with `warning`. */
  countWarning(): void;
}

export type RunHandler<K extends RunKind> = (context: RunContext<K>) => Promise<ResultInput<K>>;

/** Exactly one handler for each kind: a missing or a second one does not compile, and {@link checkHandlers} looks again at start. */
export type Handlers = { readonly [K in RunKind]: RunHandler<K> };
