import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { localPathIn } from '@xvault/shared/snapshots.ts';
import { ApiClient } from '../api/client.ts';
import { backUp, makeJob, makeTenant, type SnapshotView } from '../demo/api-steps.ts';
import { type Platform, startPlatform } from '../platform/start-platform.ts';
import { whileRunning } from '../platform/while-running.ts';
import { type CpuSplit, cpuBetween, cpuSplitOf } from './process-cpu.ts';

export interface TimedBackup {
  readonly seconds: number;
  /** Of the worker's process. */
  readonly cpu: CpuSplit;
  readonly snapshot: SnapshotView;
}

/** A platform with a job on one tree. */
export interface BackupRunner {
  readonly platform: Platform;
  /** Runs the job through the API and waits for its end; removes the stored snapshot so that the disk does not fill. */
  run(): Promise<TimedBackup>;
  stop(): Promise<void>;
}

export async function startBackupRunner(dataDir: string, tree: string, signal: AbortSignal): Promise<BackupRunner> {
  const platform = await startPlatform({ dataDir, localRoots: [tree] });
  try {
    const operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
    const { api } = await makeTenant(operator, [tree]);
    const follow = { onProgress: () => undefined, signal };
    const body = { name: 'bench', type: 'local', config: { path: tree } };
    const { jobId } = await makeJob(api, { title: tree, body, localPath: tree, allowNetworks: [] }, follow);
    return {
      platform,
      async run() {
        const pid = platform.worker?.pid;
        if (pid === undefined) throw new Error('there is no worker');
        const before = cpuSplitOf(pid);
        const startMs = performance.now();
        const { run, snapshot } = await whileRunning(platform, backUp(api, jobId, follow));
        const seconds = (performance.now() - startMs) / 1000;
        const cpu = cpuBetween(before, cpuSplitOf(pid));
        if (run.status !== 'success') throw new Error(`the backup ended with ${run.status}`);
        await rm(join(dataDir, 'backups', localPathIn(snapshot.locator)), { recursive: true });
        return { seconds, cpu, snapshot };
      },
      stop: () => platform.stop(),
    };
  } catch (error) {
    await platform.stop();
    throw error;
  }
}
