import { readFileSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newId } from '@xvault/shared/ids.ts';
import type { OverwritePolicy } from '@xvault/shared/restore-targets.ts';
import type { ResultInput, SpecInput } from '@xvault/shared/run-kinds.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { descendants, signalProcess } from '@xvault/shared/testing/process-tree.ts';
import type { SyncJob, SyncPlatform, Told, WithSecret } from './sync-context.test-kit.ts';
import { handleSyncRestore } from './sync-snapshot.ts';

export interface RestoreHow {
  readonly overwrite?: OverwritePolicy;
  /** Another place than where the source reads. */
  readonly path?: string;
  readonly paths?: readonly string[];
  /** Attempts of one run have the same. */
  readonly runId?: string;
  readonly attempt?: number;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

type Made = Awaited<ReturnType<SyncPlatform['backup']>>;

/** One attempt of a restore to a source. */
export async function restoreInto(
  platform: SyncPlatform,
  job: SyncJob,
  made: Made,
  to: WithSecret<SourceConnection>,
  { overwrite = 'never', path, paths, runId = newId(), attempt = 1, dryRun = false, signal }: RestoreHow = {},
): Promise<{ result: ResultInput<'restore'>; told: Told }> {
  const spec: SpecInput<'restore'> = {
    kind: 'restore',
    snapshot: platform.refOf(job, made.result),
    paths: paths === undefined ? null : [...paths],
    target: { type: 'source', source_id: 'source', source: to.connection, overwrite, path: path ?? null },
    dry_run: dryRun,
    export_id: null,
    export_expires_at: null,
  };
  const secrets = { destination: job.destination.secret, target: to.secret, crypt: job.crypt ?? null };
  const { context, told } = await platform.contextOf<'restore'>(spec, secrets, signal);
  const start = { ...context.start, run_id: runId, attempt };
  return { result: await handleSyncRestore({ ...context, start }, platform.deps), told };
}

/** All files below a directory by their paths, and whether they are as they should be is one comparison. */
export async function filesBelow(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  const read = files.sort().map(async (file) => [file.slice(root.length + 1), await readFile(file, 'latin1')] as const);
  return Object.fromEntries(await Promise.all(read));
}

/** That of the run: servers of tests may be other ones. */
export function killRclone(): void {
  const ofRuns = descendants(process.pid).filter((pid) => commandOf(pid).includes('rcd'));
  if (ofRuns.length === 0) throw new Error('no rclone is at work');
  for (const pid of ofRuns) signalProcess(pid, 'SIGKILL');
}

function commandOf(pid: number): string[] {
  try {
    const [program = '', ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    return /rclone$/.test(program) ? args : [];
  } catch {
    // It ended between the listing and the look at it.
    return [];
  }
}
