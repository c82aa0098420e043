import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { OverwritePolicy } from '@xvault/shared/restore-targets.ts';
import { type SyncOptions, syncOptions } from '@xvault/shared/sync-options.ts';
import { createLocalTarget } from '../../connectors/local/target.ts';
import { createAddressGuard } from '../../net/guard.ts';
import { type PlaceRestoreResult, restoreToPlace } from '../archive/restore-place.ts';
import { rcloneFilter } from './filter.ts';
import type { Version } from './layout.ts';
import { openRcloneRun, type RcloneRun } from './open-run.ts';
import { makeRunDirectory } from './rclone/run-directory.ts';
import type { VersionStore } from './resolve.ts';
import { retainVersions } from './retain.ts';
import { nothingToClose, type Side } from './sides/side.ts';
import { listSource } from './source-listing.ts';
import { runSync, type SyncOutcome } from './sync.ts';
import { TransferLog } from './transfer-log.ts';
import { type SyncValidation, validateVersion } from './validate.ts';
import { VersionOrigin } from './version-origin.ts';

export const testCrypt = { password: 'a password of the test', salt: 'a salt of the test too' };
const never = new AbortController().signal;

export interface SyncRestore {
  readonly paths?: readonly string[];
  readonly overwrite?: OverwritePolicy;
  readonly dryRun?: boolean;
}

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
  restore(
    version: Version,
    to: string,
    more?: SyncRestore,
    onRun?: (run: RcloneRun) => void,
  ): Promise<PlaceRestoreResult & { readonly failed: readonly string[] }>;
  retain(
    dropped: Version,
    keep: readonly Version[],
    sha256?: string,
    onRun?: (run: RcloneRun) => void,
  ): ReturnType<typeof retainVersions>;
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
    how: { crypt?: typeof testCrypt; signal?: AbortSignal } = {},
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
    restore: (version, to, more = {}, onRun = () => undefined) =>
      open(async (run, _log, directory) => {
        onRun(run);
        const { paths = null, overwrite = 'never', dryRun = false } = more;
        const failed: string[] = [];
        const connector = createLocalTarget({ allowedRoots: [root] });
        const restored = await restoreToPlace({
          origin: new VersionOrigin(storeOf(run, directory), version, paths),
          connect: () => connector.connectTarget({ path: to }, {}, to, never, { tag: 'test' }),
          policy: overwrite,
          dryRun,
          runId: 'run-abcd',
          createdAtMs: 0,
          isRetry: false,
          notesDir: join(root, 'notes'),
          signal: never,
          onFailed: (path) => failed.push(path.toString()),
        });
        return { ...restored, failed };
      }),
    retain: (dropped, keep, sha256, onRun = () => undefined) =>
      open((run, _, directory) => {
        onRun(run);
        return retainVersions(storeOf(run, directory), dropped, keep, sha256);
      }),
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
