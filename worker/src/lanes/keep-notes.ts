import type { NotesRequest, notesResponse } from '@xvault/shared/internal-api.ts';
import type { z } from 'zod';
import type { ActiveRun } from './active-run.ts';
import { retrying } from './backoff.ts';
import { type HubClient, HubUnreachable } from './hub-client.ts';

/**
 * Keeps notes of a run at the Hub, which takes them more than once: a lost answer must not cost a renewed token. It is tried for as
 * long as the lease lasts by now: heartbeats that get through would make it endless where these do not. Also of a run that is
 * stopped, for its token is renewed all the same. Throws HubRefused, or HubUnreachable in the end.
 */
export function keepNotes(
  hub: Pick<HubClient, 'notes'>,
  run: ActiveRun,
  notes: Pick<NotesRequest, 'diagnostics' | 'connection'>,
  onRetry: (error: unknown) => void,
): Promise<z.infer<typeof notesResponse>> {
  const { epoch, lease_token } = run.start;
  const leaseOver = AbortSignal.timeout(Math.max(0, Math.ceil(run.leaseEndsAtMs - performance.now())));
  return retrying(
    () => hub.notes(run.runId, { epoch, lease_token, ...notes }),
    (error) => error instanceof HubUnreachable,
    leaseOver,
    onRetry,
  );
}
