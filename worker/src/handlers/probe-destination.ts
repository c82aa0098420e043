import { randomBytes } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { ResultInput, SpecOf } from '@xvault/shared/run-kinds.ts';
import { openStorage } from '../storage/open-storage.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { probeSyncDestination } from './sync-probe.ts';

type DestinationQuestion = Extract<SpecOf<'probe'>['probe'], { type: 'destination' }>;

const probeBytes = 1024;

/** Writes, reads and removes a small object, as backups will. Throws STORAGE_…. */
export async function probeDestination(
  context: RunContext<'probe'>,
  { destination }: DestinationQuestion,
  deps: Pick<HandlerDeps, 'config' | 'guard' | 'storage' | 'workerId'>,
): Promise<ResultInput<'probe'>> {
  if (destination.type === 'sftp') return probeSyncDestination(context, destination, deps);
  const { start, signal } = context;
  const begun = performance.now();
  const opened = await openStorage({ destination, sealed: start.destination_secret_sealed, signal }, deps);
  const { objects } = opened;
  if (objects === null) {
    return answer(begun, (await opened.storage.space()).freeBytes);
  }
  const key = `tenants/${start.tenant_id}/probes/${newId()}`;
  const content = randomBytes(probeBytes);
  await objects.put(key, [content]);
  try {
    const read = await objects.read(key, 0, probeBytes);
    if (!read.equals(content))
      throw new XVaultError('STORAGE_FAILED', { detail: 'what was read is not what was written' });
    for await (const found of objects.list(key)) {
      if (found.sizeBytes === probeBytes) break;
      throw new XVaultError('STORAGE_FAILED', { detail: 'the list does not show what was written' });
    }
  } finally {
    await objects.detached().delete([key]);
  }
  return answer(begun, null);
}

function answer(begun: number, freeBytes: number | null): ResultInput<'probe'> {
  return {
    kind: 'probe',
    probe: { type: 'destination', latency_ms: performance.now() - begun, free_bytes: freeBytes },
  };
}
