import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type SyncOptions, syncOptions } from '@xvault/shared/sync-options.ts';
import { createAddressGuard } from '../../net/guard.ts';
import { rcloneFilter } from './filter.ts';
import type { Version } from './layout.ts';
import { openRcloneRun, type RcloneRun } from './open-run.ts';
import { makeRunDirectory } from './rclone/run-directory.ts';
import type { VersionStore } from './resolve.ts';
import { restoreVersion, type SyncRestore } from './restore.ts';
import { retainVersions } from './retain.ts';
import { nothingToClose, type Side } from './sides/side.ts';
import { listSource } from './source-listing.ts';
import { runSync, type SyncOutcome } from './sync.ts';
import { TransferLog } from './transfer-log.ts';
import { type SyncValidation, validateVersion } from './validate.ts';

export const testCrypt = { password: 'a password of the test', salt: 'a salt of the test too' };
const never = new AbortController().signal;

export interface SyncRunner {
  readonly root: string;
  readonly source: string;
  readonly place: string;
  sync(
    more?: Partial<SyncOptions>,
    how?: {
      readonly crypt?: typeof testCrypt;
      readonly signal?: AbortSignal;
      readonly onRun?: (run: RcloneRun) => void;
    },
  ): Promise<SyncOutcome>;
  restore(version: Version, to: string, more?: Partial<SyncRestore>): ReturnType<typeof restoreVersion>;
  retain(dropped: Version, keep: readonly Version[]): ReturnType<typeof retainVersions>;
  /** Paths of the source that a job with these patterns would take. */
  list(patterns: Partial<SyncOptions>): Promise<string[]>;
  validate(version: Version, level: 'quick' | 'full'): Promise<SyncValidation>;
  remove(): Promise<void>;
}

/** A source and a destination on the disk with a real rclone between them. */
export async function makeSyncRunner(encrypted: boolean): Promise<SyncRunner> {
  const root = await mkdtemp(join(tmpdir(), 'xvault-sync-test-'));
  const source = join(root, 'source');
  const place = join(root, 'place');
  await Promise.all([mkdir(source), mkdir(place)]);
  let epoch = 0;

  async function open<T>(
    work: (run: RcloneRun, log: TransferLog, directory: string) => Promise<T>,
    how: { target?: string; crypt?: typeof testCrypt; signal?: AbortSignal } = {},
  ) {
    const directory = await makeRunDirectory();
    const log = new TransferLog(() => undefined);
    try {
      const run = await openRcloneRun({
        binary: 'rclone',
        directory,
        guard: createAddressGuard({ allow: [] }),
        source: localSide(source),
        destination: localSide(place),
        ...(how.target !== undefined && { target: localSide(how.target) }),
        crypt: encrypted ? (how.crypt ?? testCrypt) : null,
        onLine: (line) => log.add(line),
        signal: how.signal ?? never,
      });
      try {
        return await work(run, log, directory.path);
      } finally {
        await run.close();
      }
    } finally {
      await directory.remove();
    }
  }
  const storeOf = (run: RcloneRun, directory: string): VersionStore => {
    return { rc: run.rclone.rc, dstFs: run.dstFs, directory, signal: never };
  };

  return {
    root,
    source,
    place,
    sync(more = {}, how = {}) {
      epoch += 1;
      return open((run, log, directory) => {
        how.onRun?.(run);
        return runSync({
          rclone: run.rclone,
          directory,
          srcFs: run.srcFs,
          rawFs: run.rawFs,
          dstFs: run.dstFs,
          sourceMtimes: true,
          sourceIsBucket: false,
          movesByDeleting: false,
          tellsRoom: true,
          hashes: encrypted ? 'none' : 'read',
          jobId: 'job',
          runId: `run-${epoch}`,
          epoch,
          options: syncOptions.parse({ encryption: encrypted, max_delete_percent: 100, ...more }),
          signal: how.signal ?? never,
          onStats: () => undefined,
          takeItemErrors: () => log.takeItemErrors(),
          wasCopied: (path) => log.wasCopied(path),
          brought: () => log.brought(),
        });
      }, how);
    },
    restore: (version, to, more = {}) =>
      open(
        (run, log, directory) =>
          restoreVersion({
            store: storeOf(run, directory),
            version,
            paths: null,
            tgtFs: run.tgtFs,
            overwrite: 'never',
            mark: 'restored',
            dryRun: false,
            onStats: () => undefined,
            takeItemErrors: () => log.takeItemErrors(),
            ...more,
          }),
        { target: to },
      ),
    retain: (dropped, keep) => open((run, _, directory) => retainVersions(storeOf(run, directory), dropped, keep)),
    list: (patterns) =>
      open(async (run) => {
        const filter = rcloneFilter(syncOptions.parse(patterns));
        const listing = { rc: run.rclone.rc, fs: run.srcFs, withMtime: false, isBucket: false, filter, signal: never };
        return [...(await listSource(listing)).objects.keys()];
      }),
    validate: (version, level) =>
      open((run, _, directory) => validateVersion(storeOf(run, directory), version, level, () => undefined)),
    remove: () => rm(root, { recursive: true, force: true }),
  };
}

export function localSide(path: string): Side {
  return {
    remote: { options: { type: 'local' }, root: path, caPem: null, hashes: 'none' },
    listsMtimes: true,
    close: nothingToClose,
  };
}
