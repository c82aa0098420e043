/**
 * Run by a test with a folder whose `target` is a small file system: restores more than fits into it, then what fits, and tells what
 * came of it, as JSON.
 */
import { randomBytes } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { asXVaultError } from '@xvault/shared/errors.ts';
import { createLocalTarget } from '../../connectors/local/target.ts';
import { artifactOrigin } from './restore-origin.ts';
import { restoreToPlace } from './restore-place.ts';
import { makeSnapshot } from './restore-test-kit.ts';

const [, , folder = ''] = process.argv;
const snapshot = await makeSnapshot(folder, [
  { path: '.', type: 'directory' },
  { path: 'a small one', type: 'file', data: 'small' },
  { path: 'large', type: 'file', data: randomBytes(12 * 1024 * 1024) },
]);
const target = join(folder, 'target');
const signal = new AbortController().signal;

async function restore(paths: string[] | null): Promise<string> {
  const reader = await snapshot.open();
  try {
    const { actions } = await restoreToPlace({
      origin: artifactOrigin(reader, paths),
      connect: () => createLocalTarget({ allowedRoots: [target] }).connectTarget({ path: target }, {}, target, signal),
      policy: 'always',
      dryRun: false,
      runId: 'run',
      createdAtMs: 0,
      isRetry: false,
      notesDir: join(folder, 'notes'),
      signal,
      onFailed: () => undefined,
    });
    return JSON.stringify(actions);
  } catch (error) {
    return asXVaultError(error).code;
  } finally {
    await reader.close();
  }
}

const all = await restore(null);
const some = await restore(['a small one']);
const names = await readdir(target);
const { blocks } = await stat(join(target, 'a small one'));
process.stdout.write(JSON.stringify({ all, some, names, isWritten: blocks > 0 }));
