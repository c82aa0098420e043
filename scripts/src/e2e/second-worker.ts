/** For tests: another worker beside the platform's own, on a disk of its own. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import type { ApiClient } from '../api/client.ts';
import { type PlatformChild, startChild } from '../platform/child.ts';
import { workerEnvironment } from '../platform/environment.ts';
import { nodeCommand } from '../platform/node-command.ts';
import { untilReady } from '../platform/until.ts';
import { workerIsReady } from '../platform/worker-ready.ts';
import type { E2e } from './fixture.ts';

export const secondId = 'second';

export interface SecondWorker {
  readonly process: PlatformChild;
  readonly logFile: string;
}

/** With one slot, reading and restoring where the platform's own does; resolves when it takes tickets. */
export async function startSecondWorker(
  { platform, folder }: Pick<E2e, 'platform' | 'folder'>,
  operator: ApiClient,
  extraWorker: Readonly<Record<string, string>>,
): Promise<SecondWorker> {
  const dataDir = join(platform.dataDir, secondId);
  const logs = join(dataDir, 'logs');
  await mkdir(logs, { recursive: true, mode: 0o700 });
  const places = {
    dataDir,
    databaseUrl: '',
    redisUrlFile: join(platform.dataDir, 'secrets', 'redis-url'),
    hubPort: Number(new URL(platform.hubUrl).port),
    workerPort: await freePort(),
    logLevel: 'info',
    localRoots: [folder],
    restoreRoots: [folder],
    allowNetworks: [],
    slots: 1,
    extraHub: {},
    extraWorker: { ...extraWorker, XVAULT_WORKER_ID: secondId },
  };
  const sinceMs = Date.now();
  const command = nodeCommand(secondId, 'worker/src/main.ts', workerEnvironment(places, platform.secrets), logs);
  const worker = await startChild(command);
  try {
    await untilReady(worker, () => workerIsReady(operator, sinceMs), 60_000);
  } catch (error) {
    await worker.end('SIGKILL', 10_000);
    throw error;
  }
  return { process: worker, logFile: join(logs, `${secondId}.log`) };
}
