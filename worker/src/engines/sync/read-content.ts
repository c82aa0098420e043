import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ManifestEntry } from './manifest.ts';
import { readObject } from './read-object.ts';
import type { VersionStore } from './resolve.ts';

/** Nothing comes for so long: the slowest limit that a tenant can have lets something through by then. */
export const silentMs = 600_000;

/**
 * An object of a version. Throws SYNC_VERSION_BROKEN at the end unless it has the length, and the hash where one is known, that the
 * version says; what was read must not be kept then. STORAGE_… when the destination does not answer, SYNC_STALLED when it falls silent.
 */
export async function* readContent(
  store: VersionStore,
  place: string,
  { path, size, hashes }: ManifestEntry,
  stallMs = silentMs,
): AsyncGenerator<Buffer> {
  const { md5: known = '' } = hashes ?? {};
  const md5 = createHash('md5');
  let left = size;
  const stall = new AbortController();
  const signal = AbortSignal.any([store.signal, stall.signal]);
  const stalled = () => stall.abort(new XVaultError('SYNC_STALLED', { detail: `nothing of ${path} came for long` }));
  let timer = setTimeout(stalled, stallMs);
  try {
    for await (const chunk of readObject({ ...store, signal }, place, path)) {
      // How long the other end takes is not its fault.
      clearTimeout(timer);
      left -= chunk.length;
      if (left < 0) break;
      if (known !== '') md5.update(chunk);
      yield chunk;
      timer = setTimeout(stalled, stallMs);
    }
  } finally {
    clearTimeout(timer);
  }
  if (left !== 0) throw broken(`${path} has another length`);
  if (known !== '' && known !== md5.digest('hex')) throw broken(`${path} has another content`);
}

function broken(detail: string): XVaultError {
  return new XVaultError('SYNC_VERSION_BROKEN', { detail });
}
