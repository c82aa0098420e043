import type { EventDraft } from '@xvault/shared/events.ts';
import type { Progress, StartResponse } from '@xvault/shared/internal-api.ts';
import type { Logger } from '@xvault/shared/logging.ts';
import type { ResultInput, RunKind, SpecOf } from '@xvault/shared/run-kinds.ts';

/** What a handler is given of the attempt that it carries out. */
export interface RunContext<K extends RunKind> {
  readonly start: StartResponse;
  readonly spec: SpecOf<K>;
  /** Aborts with a RunStopped as its reason. */
  readonly signal: AbortSignal;
  readonly logger: Logger;
  emit(event: EventDraft): void;
  /** Kept and sent with the next heartbeat. */
  progress(progress: Progress): void;
  /** One more item that needs the customer's attention: the run will end with `warning`. */
  countWarning(): void;
}

export type RunHandler<K extends RunKind> = (context: RunContext<K>) => Promise<ResultInput<K>>;

/** Exactly one handler for each kind: a missing or a second one does not compile, and {@link checkHandlers} looks again at start. */
export type Handlers = { readonly [K in RunKind]: RunHandler<K> };
