import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import { newId } from '@xvault/shared/ids.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { atDestination, freeBytes } from '../engines/sync/faults.ts';
import { deleteFile, fetchFile, storeFile } from '../engines/sync/remote-files.ts';
import type { HandlerDeps } from './deps.ts';
import { type OpenedSync, type SyncContext, withSync } from './sync-run.ts';

const probeBytes = 1024;

/** Writes, reads and removes a small object at a destination that the sync engine alone writes to. Throws STORAGE_…, SSH_…. */
export async function probeSyncDestination(
  context: SyncContext,
  connection: DestinationConnection,
  deps: Pick<HandlerDeps, 'config' | 'guard'>,
): Promise<ResultInput<'probe'>> {
  const begun = performance.now();
  const { start, signal } = context;
  const prefix = `tenants/${start.tenant_id}/probes/${newId()}`;
  const destination = { connection, sealed: start.destination_secret_sealed, prefix };
  const free = await withSync(context, deps, { destination, crypt: null }, (opened) =>
    atDestination('testing the destination', tryOut(opened, signal)),
  );
  const latency = performance.now() - begun;
  return { kind: 'probe', probe: { type: 'destination', latency_ms: latency, free_bytes: free } };
}

async function tryOut({ run, directory }: OpenedSync, signal: AbortSignal): Promise<number | null> {
  const { rc } = run.rclone;
  const content = randomBytes(probeBytes);
  await writeFile(join(directory, 'probe'), content, { mode: 0o600 });
  const place = { fs: run.dstFs, path: 'probe' };
  await storeFile(rc, directory, 'probe', place, signal);
  try {
    const read = await fetchFile(rc, place, directory, 'probe-read', signal);
    if (read === null || !content.equals(await readFile(read))) {
      throw new XVaultError('STORAGE_FAILED', { detail: 'what was read is not what was written' });
    }
    return await freeBytes(rc, run.rawFs, signal);
  } finally {
    await deleteFile(rc, run.dstFs, 'probe', AbortSignal.timeout(10_000));
    await Promise.allSettled([rc.call('operations/rmdir', { fs: run.rawFs, remote: '' }, AbortSignal.timeout(10_000))]);
  }
}
