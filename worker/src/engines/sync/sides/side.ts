import type { AddressGuard } from '../../../net/guard.ts';
import type { Remote } from '../remotes/remote.ts';

/** One end of a transfer, reachable through the guard for as long as it is not closed. */
export interface Side {
  readonly remote: Remote;
  /** Whether a listing gives times without a request for each object. */
  readonly listsMtimes: boolean;
  /** How many objects may be read at a time, where the server allows fewer than the job. */
  readonly transfersAtMost?: number;
  close(): Promise<void>;
}

export interface SideContext {
  readonly guard: AddressGuard;
  /** Of the run. */
  readonly directory: string;
  readonly signal: AbortSignal;
}

export async function nothingToClose(): Promise<void> {
  // Nothing was opened.
}
