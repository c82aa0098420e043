/**
 * Why a run is being stopped from outside; the reason of its AbortSignal.
 * - `cancelled`: the customer or an operator asked for it.
 * - `superseded`: the Hub gave the run to another attempt; nothing is reported.
 * - `lease_lost`: the lease could not be renewed in time; nothing is reported.
 * - `handed_back`: this worker shuts down; the attempt does not count.
 */
export type StopCause = 'cancelled' | 'superseded' | 'lease_lost' | 'handed_back';

export class RunStopped extends Error {
  override readonly name = 'RunStopped';
  readonly stopCause: StopCause;
  constructor(stopCause: StopCause) {
    super(`the run was stopped: ${stopCause}`);
    this.stopCause = stopCause;
  }
}
