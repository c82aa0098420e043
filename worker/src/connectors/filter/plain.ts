import type { PlainExclusion } from '../../native/threads.ts';
import type { EntryFilter } from '../connector.ts';
import { compilePattern, type Pattern } from './pattern.ts';

/**
 * Those of the exclude patterns that name one path, or one name at any depth: what they match is excluded whatever the others
 * say. None where one pattern takes back what another excludes.
 */
export function plainExclusions({ patterns }: EntryFilter): PlainExclusion[] {
  const compiled = patterns.exclude.map(compilePattern).filter((pattern) => pattern !== null);
  if (compiled.some(({ negated }) => negated)) return [];
  return compiled.flatMap((pattern) => {
    const exclusion = plainOf(pattern);
    return exclusion === undefined ? [] : [exclusion];
  });
}

function plainOf({ anchored, directoriesOnly, segments }: Pattern): PlainExclusion | undefined {
  const names: Buffer[] = [];
  for (const segment of segments) {
    if (segment === 'any depth') return undefined;
    const bytes = segment.filter((token) => typeof token === 'number');
    // Of a segment that is empty, as between two slashes, matching knows more.
    if (bytes.length === 0 || bytes.length < segment.length) return undefined;
    names.push(Buffer.from(bytes));
  }
  const [first, ...rest] = names;
  if (first === undefined || (!anchored && rest.length > 0)) return undefined;
  const slash = Buffer.from('/');
  const text = Buffer.concat([first, ...rest.flatMap((name) => [slash, name])]);
  return { of: anchored ? 'path' : 'name', directoriesOnly, text };
}
