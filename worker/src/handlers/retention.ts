import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { locateSnapshot } from './open-snapshot.ts';

/** Removes the bytes of a snapshot. The Hub has taken it out of use before; done again, it finds nothing and succeeds. */
export async function handleRetention(
  context: RunContext<'retention'>,
  deps: Pick<HandlerDeps, 'config' | 'storage' | 'workerId'>,
): Promise<ResultInput<'retention'>> {
  const { start, spec, signal } = context;
  signal.throwIfAborted();
  const { storage, place } = await locateSnapshot(start, spec.snapshot, deps, signal);
  await storage.delete(place);
  return { kind: 'retention' };
}
