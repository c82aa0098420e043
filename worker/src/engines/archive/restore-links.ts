import { asCopy } from './export-copies.ts';
import { pathKey } from './paths.ts';
import type { RestoreEntry } from './restore-entries.ts';

/** An entry; that of a hard link with size and time of the file that it names. */
export interface LinkedEntry extends RestoreEntry {
  /** Of a hard link: the entry of its first name. */
  readonly first: RestoreEntry | null;
}

/**
 * Tells hard links what they are names of. One to a symlink becomes a symlink like it. Memory grows with the number of files
 * that have more than one name.
 */
export async function* withFirstNames(entries: AsyncIterable<RestoreEntry>): AsyncGenerator<LinkedEntry> {
  const linked = new Map<string, RestoreEntry>();
  for await (const entry of entries) {
    const { member } = entry;
    if (entry.isLinked) linked.set(pathKey(member.path), entry);
    if (member.type !== 'hardlink') {
      yield { ...entry, first: null };
      continue;
    }
    const first = asCopy(entry, linked);
    if (first.member.type === 'symlink') yield { ...first, first: null };
    else {
      const { linkTarget } = member;
      yield { member: { ...first.member, type: 'hardlink', linkTarget }, content: null, isLinked: false, first };
    }
  }
}
