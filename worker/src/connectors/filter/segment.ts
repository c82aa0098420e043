/** A byte, any one byte, any run of bytes, or one of a set (256 flags). */
export type Token = number | 'any' | 'star' | Uint8Array;
/** What stands between two slashes of a pattern. */
export type Segment = readonly Token[];

/**
 * Whether a name matches, in time bounded by the product of both lengths: patterns are the customers', and one that makes a
 * backtracking matcher run for ever would stop all runs of the worker.
 */
export function matchesSegment(segment: Segment, name: Buffer): boolean {
  let at = 0;
  let token = 0;
  let starToken = -1;
  let starAt = 0;
  while (at < name.length) {
    const wanted = segment[token];
    if (wanted === 'star') {
      starToken = token;
      starAt = at;
      token += 1;
    } else if (wanted !== undefined && matchesByte(wanted, name[at] ?? 0)) {
      token += 1;
      at += 1;
    } else if (starToken >= 0) {
      // The latest star takes one byte more: earlier ones never need to.
      token = starToken + 1;
      starAt += 1;
      at = starAt;
    } else {
      return false;
    }
  }
  while (segment[token] === 'star') token += 1;
  return token === segment.length;
}

function matchesByte(token: Exclude<Token, 'star'>, byte: number): boolean {
  if (token === 'any') return true;
  return typeof token === 'number' ? token === byte : token[byte] === 1;
}
