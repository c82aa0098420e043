import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { startTcpProxy, type TcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { type Places, workerEnvironment } from '../platform/environment.ts';
import { nodeCommand } from '../platform/node-command.ts';
import type { PlatformSecrets } from '../platform/secrets.ts';
import { workerSettings } from './cluster-settings.ts';
import { type Part, startPart } from './part.ts';
import { mountSmallVolume, type SmallVolume } from './small-volume.ts';

export interface WorkerNode {
  readonly id: string;
  readonly part: Part;
  /** Its network to the Hubs. */
  readonly link: TcpProxy;
  readonly storageDir: string;
  readonly exportsDir: string;
  /** Set where its storage is a file system of its own. */
  readonly volume: SmallVolume | undefined;
  stop(): Promise<void>;
}

export interface WorkerOptions {
  readonly id: string;
  /** Everything of this worker lies here. */
  readonly dataDir: string;
  readonly logs: string;
  readonly balancerPort: number;
  /** Size of its storage when that is to be a file system of its own. */
  readonly volumeBytes?: number;
  readonly places: Omit<Places, 'dataDir' | 'hubPort' | 'workerPort'>;
  readonly secrets: PlatformSecrets;
  readonly restartDelayMs: () => number;
}

export async function startWorkerNode(options: WorkerOptions): Promise<WorkerNode> {
  const { id, dataDir, logs, secrets, restartDelayMs, volumeBytes } = options;
  const [storageDir, exportsDir] = [join(dataDir, 'backups'), join(dataDir, 'exports')];
  for (const folder of [join(dataDir, 'worker'), storageDir, exportsDir]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  }
  const volume = volumeBytes === undefined ? undefined : await mountSmallVolume(storageDir, volumeBytes);
  const link = await startTcpProxy(options.balancerPort);
  const places: Places = { ...options.places, dataDir, hubPort: link.port, workerPort: await freePort() };
  const env = { ...workerEnvironment(places, secrets), ...workerSettings, XVAULT_WORKER_ID: id };
  // Its children are known by the folder that they start in.
  const command = { ...nodeCommand(id, 'worker/src/main.ts', env, logs), cwd: dataDir };
  const part = startPart({ command, readyText: '"worker ready"', restartDelayMs });
  return {
    id,
    part,
    link,
    storageDir,
    exportsDir,
    volume,
    async stop() {
      link.resume();
      await part.stop(20_000);
      await link.close();
      await volume?.unmount();
    },
  };
}
