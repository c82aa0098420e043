import { createHash } from 'node:crypto';

/** How often a text is seen before it is worth a place in every connection of the server. */
const seenBefore = 3;
/** Texts whose number of parameters varies must not fill the server's memory. */
const maxNames = 400;
const maxSeen = 4_000;

/**
 * Names for the statements that come again and again, so that each connection parses them once. Null for those that are new,
 * and for all further ones once there are very many.
 */
export function createStatementNames(): (text: string) => string | null {
  const names = new Map<string, string>();
  const seen = new Map<string, number>();
  return (text) => {
    const known = names.get(text);
    if (known !== undefined) return known;
    if (names.size >= maxNames) return null;
    const times = (seen.get(text) ?? 0) + 1;
    if (times < seenBefore) {
      if (seen.size >= maxSeen) seen.clear();
      seen.set(text, times);
      return null;
    }
    seen.delete(text);
    const name = `x${createHash('sha256').update(text).digest('hex').slice(0, 32)}`;
    names.set(text, name);
    return name;
  };
}
