import { compareVersions, currentDirectory, type Kept, type Version } from './layout.ts';
import { RcError } from './rclone/rc-client.ts';
import { keptPlace, listKept, listPlace, type VersionStore } from './resolve.ts';

/**
 * rclone moves what it is about to replace away before it opens the replacement. Where that then cannot be read, what was moved
 * comes back: the customer would else find the object in no version from this one on. So does what attempts since the newest version
 * moved away before they were cut short.
 */
export async function putBack(
  store: VersionStore,
  newest: Version | null,
  failures: ReadonlyMap<string, string>,
): Promise<void> {
  if (failures.size === 0) return;
  const isSince = ({ version }: Kept) => newest === null || compareVersions(version, newest) > 0;
  // The oldest first, which is what the newest version has.
  for (const kept of (await listKept(store)).filter(isSince)) {
    const place = keptPlace(kept);
    for (const { path } of await listPlace(store, place)) {
      if (failures.has(path)) await moveBack(store, place, path);
    }
  }
}

async function moveBack({ rc, dstFs, signal }: VersionStore, place: string, path: string): Promise<void> {
  const current = `${dstFs}${currentDirectory}`;
  const found = await rc.call('operations/stat', { fs: current, remote: path, opt: { filesOnly: true } }, signal);
  // A later try has brought something.
  if (found !== null && typeof found === 'object' && Reflect.get(found, 'item') !== null) return;
  try {
    const input = { srcFs: `${dstFs}${place}`, srcRemote: path, dstFs: current, dstRemote: path };
    await rc.call('operations/movefile', input, signal);
  } catch (error) {
    // It stays where the versions before this one look for it; this one goes without.
    if (!(error instanceof RcError)) throw error;
  }
}
