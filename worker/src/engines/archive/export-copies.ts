import { pathKey } from './paths.ts';
import type { RestoreEntry } from './restore-entries.ts';
import { corrupt } from './restore-plan.ts';

/**
 * Hard links as copies of what they link to, for formats that know no links. `entries` is run through twice; memory grows with the
 * number of files that have more than one name.
 */
export async function* hardLinksAsCopies(entries: () => AsyncIterable<RestoreEntry>): AsyncGenerator<RestoreEntry> {
  const linked = new Map<string, RestoreEntry | null>();
  for await (const { member } of entries()) {
    if (member.type === 'hardlink' && member.linkTarget !== null) linked.set(pathKey(member.linkTarget), null);
  }
  for await (const entry of entries()) {
    const { member } = entry;
    if (member.type !== 'hardlink' || member.linkTarget === null) {
      if (linked.has(pathKey(member.path))) linked.set(pathKey(member.path), entry);
      yield entry;
      continue;
    }
    const first = linked.get(pathKey(member.linkTarget));
    if (first === null || first === undefined) throw corrupt('a hard link before its first name', member);
    yield { ...first, member: { ...first.member, path: member.path } };
  }
}
