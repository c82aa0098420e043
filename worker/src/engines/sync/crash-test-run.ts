import { syncOptions } from '@xvault/shared/sync-options.ts';
import { createAddressGuard } from '../../net/guard.ts';
import { openRcloneRun } from './open-run.ts';
import { makeRunDirectory } from './rclone/run-directory.ts';
import { nothingToClose, type Side } from './sides/side.ts';
import { runSync } from './sync.ts';
import { TransferLog } from './transfer-log.ts';

// A program for tests: a slow sync between two folders, in a process that can be killed. Prints rclone's id and the run's folder.

const [source = '', place = ''] = process.argv.slice(2);
const { signal } = new AbortController();
const sideOf = (root: string): Side => ({
  remote: { options: { type: 'local' }, root, caPem: null, hashes: 'none' },
  listsMtimes: true,
  close: nothingToClose,
});
const directory = await makeRunDirectory();
const log = new TransferLog(() => undefined);
const run = await openRcloneRun({
  binary: 'rclone',
  directory,
  guard: createAddressGuard({ allow: [] }),
  source: sideOf(source),
  destination: sideOf(place),
  crypt: null,
  onLine: (line) => log.add(line),
  signal,
});
await run.rclone.rc.call('core/bwlimit', { rate: '1M' });
process.stdout.write(`${JSON.stringify({ pid: run.rclone.pid, directory: directory.path })}\n`);
await runSync({
  rclone: run.rclone,
  directory: directory.path,
  srcFs: run.srcFs,
  rawFs: run.rawFs,
  dstFs: run.dstFs,
  sourceMtimes: true,
  sourceIsBucket: false,
  movesByDeleting: false,
  tellsRoom: true,
  hashes: 'read',
  jobId: 'job',
  runId: 'run-of-its-own',
  epoch: 99,
  options: syncOptions.parse({ max_delete_percent: 100 }),
  signal,
  onStats: () => undefined,
  takeItemErrors: () => log.takeItemErrors(),
  wasCopied: (path) => log.wasCopied(path),
  brought: () => log.brought(),
});
await run.close();
