import { join } from 'node:path';
import { localPathIn } from '@xvault/shared/snapshots.ts';
import { compareTrees, type TreeComparison } from '@xvault/shared/testing/compare-trees.ts';
import { ApiClient } from '../api/client.ts';
import type { RunProgress } from '../api/runs.ts';
import type { Platform } from '../platform/start-platform.ts';
import { backUp, makeJob, makeTenant, restoreTo, type SnapshotView, validate } from './api-steps.ts';
import { compareWithIndex } from './compare-with-index.ts';
import { missingTools, openArtifact, takeOutIdentity } from './open-without-xvault.ts';
import { ProgressBar, type ProgressOutput } from './progress-bar.ts';
import type { DemoReport } from './report.ts';
import type { DemoSource } from './sources.ts';

export interface DemoContext {
  readonly platform: Platform;
  readonly source: DemoSource;
  /** Holds the restored trees. */
  readonly workDir: string;
  readonly output: ProgressOutput;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

export interface DemoState {
  readonly tenantId: string;
  readonly snapshot: SnapshotView;
  readonly report: DemoReport;
}

/** Backup, verification, restore and comparison, all through the public API. Throws at the first thing that is not right. */
export async function backUpAndRestore(context: DemoContext): Promise<DemoState> {
  const { platform, source, workDir, say, signal } = context;
  const operator = await ApiClient.signIn(platform.hubUrl, platform.operator.email, platform.operator.password);
  const { id: tenantId, api } = await makeTenant(operator, [...(source.localPath ? [source.localPath] : []), workDir]);
  const { jobId } = await makeJob(api, source, { onProgress: () => undefined, signal });
  say(`tenant, source, destination and job made; backing up ${source.title}`);

  const startMs = performance.now();
  const { run, snapshot } = await withBar(context, 'backup', (onProgress) =>
    backUp(api, jobId, { onProgress, signal }),
  );
  const seconds = (performance.now() - startMs) / 1000;
  say(`backup: ${run.status}; snapshot ${snapshot.id}`);
  say(`locator: ${JSON.stringify(snapshot.locator)}`);

  await withBar(context, 'verify', (onProgress) => validate(api, snapshot.id, { onProgress, signal }));
  say('verified: every file in the artifact matches its SHA-256');
  const restored = join(workDir, 'restored');
  await withBar(context, 'restore', (onProgress) => restoreTo(api, snapshot.id, restored, { onProgress, signal }));

  const compared = source.localPath
    ? await compareTrees(source.localPath, restored)
    : await compareWithIndex(api, snapshot.id, restored);
  const against = source.localPath ? 'the source: contents, modes, mtimes, links' : 'the list of what was pulled';
  requireEqual('the restored tree', compared);
  say(`restored and compared with ${against}: ${compared.entries} entries, no difference`);

  const report: DemoReport = {
    source: source.title,
    status: run.status,
    snapshot_id: snapshot.id,
    locator: snapshot.locator,
    files: snapshot.file_count,
    bytes_in: snapshot.source_bytes,
    bytes_stored: snapshot.stored_bytes,
    ratio: round(snapshot.source_bytes / Math.max(1, snapshot.stored_bytes)),
    seconds: round(seconds),
    mb_per_s: round(snapshot.source_bytes / 1e6 / seconds),
    verified: true,
    compared_entries: compared.entries,
    differences: compared.differences.length,
    opened_by_standard_tools: null,
  };
  return { tenantId, snapshot, report };
}

/** With the platform stopped: the standard tools alone open the artifact. Gives the report with the result. */
export async function openByStandardTools(context: DemoContext, state: DemoState): Promise<DemoReport> {
  const { platform, source, workDir, say } = context;
  const missing = missingTools();
  if (missing.length > 0) {
    say(`not shown, because not installed: opening the artifact by ${missing.join(', ')}`);
    return state.report;
  }
  const vaultIdentityFile = platform.secrets.file('vault.identity');
  const identity = await takeOutIdentity(join(platform.dataDir, 'database'), state.tenantId, vaultIdentityFile);
  const artifact = join(platform.dataDir, 'backups', localPathIn(state.snapshot.locator), 'backup.tar.zst.enc');
  const opened = await openArtifact(artifact, identity, workDir);
  const compared = await compareTrees(source.localPath ?? join(workDir, 'restored'), opened.folder);
  requireEqual('the tree made by the standard tools', compared);
  say(`with xVault stopped: ${opened.command}`);
  say(`the same tree again: ${compared.entries} entries, no difference`);
  return { ...state.report, opened_by_standard_tools: true };
}

function requireEqual(what: string, compared: TreeComparison): void {
  if (compared.differences.length === 0) return;
  throw new Error(`${what} differs (was something writing to it?):\n  ${compared.differences.join('\n  ')}`);
}

async function withBar<T>(
  context: DemoContext,
  title: string,
  work: (onProgress: (progress: RunProgress) => void) => Promise<T>,
): Promise<T> {
  const bar = new ProgressBar(title, context.output);
  try {
    return await work((progress) => bar.show(progress));
  } finally {
    bar.end();
  }
}

function round(value: number): number {
  return Math.round(value * 100) / 100;
}
