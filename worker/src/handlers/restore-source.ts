import { join } from 'node:path';
import { idTimeMs } from '@xvault/shared/ids.ts';
import type { RestoreTarget } from '@xvault/shared/restore-targets.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { pathToText } from '../artifact/path-text.ts';
import type { TargetOptions, TargetSession } from '../connectors/target.ts';
import { Throttle } from '../engines/archive/bandwidth.ts';
import { type OnRestoreProgress, type RestoreOrigin, restoreToPlace } from '../engines/archive/restore.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';

interface SourceRestore {
  readonly origin: RestoreOrigin;
  readonly target: Extract<RestoreTarget, { type: 'source' }>;
  readonly onProgress: OnRestoreProgress;
  /** Another way to the target than the connector of its kind. */
  readonly connect?: (options: TargetOptions) => Promise<TargetSession>;
}

/** Further ones are left out, so that they do not crowd out what needs attention. */
const toldRenames = 1000;

/** Puts files of a snapshot back to where they came from, or to another source of the tenant. */
export async function restoreToSource(
  context: RunContext<'restore'>,
  deps: HandlerDeps,
  { origin, target, onProgress, connect }: SourceRestore,
): Promise<ResultInput<'restore'>> {
  const { spec, start, signal, bandwidth } = context;
  const throttle = new Throttle(() => bandwidth.limitBps);
  const ignoreLimit = bandwidth.onChange(() => throttle.changed());
  const options = { tag: tagOf(start.run_id) };
  const connectTarget = () =>
    deps.targets.connect(target.source, start.target_secret_sealed, target.path, signal, options);
  const restoring = restoreToPlace({
    origin,
    connect: connect === undefined ? connectTarget : () => connect(options),
    policy: target.overwrite,
    dryRun: spec.dry_run,
    runId: start.run_id,
    createdAtMs: idTimeMs(start.run_id),
    isRetry: start.attempt > 1,
    notesDir: join(deps.config.XVAULT_WORKER_DATA_DIR, 'restores'),
    throttle: (count, stop) => throttle.take(count, stop),
    signal,
    onProgress,
    ...listenerOf(context),
  });
  const { fileCount, bytes, actions, changes } = await restoring.finally(ignoreLimit);
  return { kind: 'restore', file_count: fileCount, bytes, export: null, actions, changes };
}

function listenerOf(context: RunContext<'restore'>) {
  let renames = 0;
  return {
    onFailed(path: Buffer, detail: string): void {
      context.countWarning();
      context.logger.debug({ detail }, 'not restored');
      const event = { type: 'warning', level: 'warn', code: 'ITEM_NOT_RESTORED' } as const;
      context.emit({ ...event, message_id: 'item_not_restored', params: { item: shown(path) } });
    },
    onRenamed(path: Buffer, to: Buffer): void {
      renames += 1;
      if (context.spec.dry_run || renames > toldRenames) return;
      const event = { type: 'summary', level: 'info', code: 'ITEM_RENAMED' } as const;
      const params = { item: shown(path), name: shown(to.subarray(to.lastIndexOf(0x2f) + 1)) };
      context.emit({ ...event, message_id: 'item_restored_renamed', params });
    },
  };
}

function shown(path: Buffer): string {
  return pathToText(path).slice(0, 1024).toWellFormed();
}

/** The end of a run's id is its random part. */
function tagOf(runId: string): string {
  return runId.replaceAll(/[^A-Za-z0-9]/g, '').slice(-16);
}
