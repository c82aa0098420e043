import { pathKey } from './paths.ts';
import type { RestoreEntry } from './restore-entries.ts';
import { corrupt } from './restore-plan.ts';

/**
 * Hard links as copies of what they link to, for formats that know no links. Memory grows with the number of files that have
 * more than one name.
 */
export async function* hardLinksAsCopies(entries: AsyncIterable<RestoreEntry>): AsyncGenerator<RestoreEntry> {
  const linked = new Map<string, RestoreEntry>();
  for await (const entry of entries) {
    const { member } = entry;
    if (entry.isLinked) linked.set(pathKey(member.path), entry);
    yield member.type === 'hardlink' ? asCopy(entry, linked) : entry;
  }
}

/** The entry of a hard link with the content of its first name. Throws ARTIFACT_CORRUPT when that has not come by. */
export function asCopy(entry: RestoreEntry, linked: ReadonlyMap<string, RestoreEntry>): RestoreEntry {
  const { member } = entry;
  const first = member.linkTarget === null ? undefined : linked.get(pathKey(member.linkTarget));
  if (first === undefined) throw corrupt('a hard link before its first name', member);
  return { ...first, member: { ...first.member, path: member.path }, isLinked: false };
}
