import type { Pattern } from './pattern.ts';
import { matchesSegment } from './segment.ts';

/** The names of a path, from the root down. */
export function splitPath(path: Buffer): Buffer[] {
  const names: Buffer[] = [];
  let begin = 0;
  for (let at = path.indexOf(0x2f); at !== -1; at = path.indexOf(0x2f, begin)) {
    names.push(path.subarray(begin, at));
    begin = at + 1;
  }
  names.push(path.subarray(begin));
  return names;
}

/** Whether the pattern itself matches this path; what lies below a matched directory is the caller's matter. */
export function matchesPattern(pattern: Pattern, names: readonly Buffer[], isDirectory: boolean): boolean {
  if (pattern.directoriesOnly && !isDirectory) return false;
  if (pattern.anchored) return matchesPath(pattern.segments, names);
  const [segment] = pattern.segments;
  const name = names.at(-1);
  if (segment === undefined || name === undefined) return false;
  return segment === 'any depth' || matchesSegment(segment, name);
}

/** As with a star among bytes, the latest `**` takes one name more where the rest does not fit. */
function matchesPath(segments: Pattern['segments'], names: readonly Buffer[]): boolean {
  let at = 0;
  let wanted = 0;
  let depthSegment = -1;
  let depthAt = 0;
  while (at < names.length) {
    const segment = segments[wanted];
    const name = names[at];
    if (segment === 'any depth') {
      // At the end it takes all that is left, of which there is something.
      if (wanted === segments.length - 1) return true;
      depthSegment = wanted;
      depthAt = at;
      wanted += 1;
    } else if (segment !== undefined && name !== undefined && matchesSegment(segment, name)) {
      wanted += 1;
      at += 1;
    } else if (depthSegment >= 0) {
      wanted = depthSegment + 1;
      depthAt += 1;
      at = depthAt;
    } else {
      return false;
    }
  }
  return wanted === segments.length;
}

/** Whether something below this directory could match. */
export function mayMatchBelow(pattern: Pattern, names: readonly Buffer[]): boolean {
  if (!pattern.anchored) return true;
  for (const [at, name] of names.entries()) {
    const segment = pattern.segments[at];
    if (segment === undefined) return false;
    if (segment === 'any depth') return true;
    if (!matchesSegment(segment, name)) return false;
  }
  return names.length < pattern.segments.length;
}
