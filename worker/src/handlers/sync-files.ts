import { XVaultError } from '@xvault/shared/errors.ts';
import type { ResultInput, SpecOf } from '@xvault/shared/run-kinds.ts';
import { browseVersion } from '../engines/sync/browse-version.ts';
import { manifestFile, manifestsDirectory } from '../engines/sync/layout.ts';
import { readManifest, sha256OfFile } from '../engines/sync/manifest.ts';
import { fetchFile } from '../engines/sync/remote-files.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { withVersion } from './sync-snapshot.ts';

type FilesQuestion = Extract<SpecOf<'probe'>['probe'], { type: 'files' }>;

/** What a version of the sync engine holds, from its manifest. Throws NOT_FOUND, SYNC_VERSION_BROKEN. */
export function listSyncFiles(
  context: RunContext<'probe'>,
  { snapshot, ...question }: FilesQuestion,
  deps: HandlerDeps,
): Promise<ResultInput<'probe'>> {
  return withVersion(context, deps, snapshot, {}, async ({ version, store }) => {
    const { rc, dstFs: fs, directory, signal } = store;
    const from = { fs, path: `${manifestsDirectory}/${manifestFile(version)}` };
    const path = await fetchFile(rc, from, directory, 'manifest.jsonl.gz', signal);
    if (path === null) throw new XVaultError('SYNC_VERSION_BROKEN', { detail: 'there is no manifest' });
    if ((await sha256OfFile(path)) !== snapshot.index_sha256) {
      throw new XVaultError('SYNC_VERSION_BROKEN', { detail: 'the manifest is another one' });
    }
    const { entries, nextOffset } = browseVersion(await readManifest(path), question);
    return { kind: 'probe', probe: { type: 'files', entries, next_offset: nextOffset } };
  });
}
