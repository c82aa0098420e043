/**
 * Where routines, triggers or events were made under another collation than the database's, a dump changes the collation of the
 * database for their sake, and names it: under a new name that would change the old one. Only whole lines are touched; the
 * dumper writes line breaks in data as `\n`, so in data there are none that begin like this.
 */
export async function* renameDatabase(chunks: AsyncIterable<Buffer>, from: string, to: string): AsyncGenerator<Buffer> {
  const sought = Buffer.from(`\nALTER DATABASE ${quoted(from)} CHARACTER SET `);
  const instead = Buffer.from(`\nALTER DATABASE ${quoted(to)} CHARACTER SET `);
  let kept: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    const text = kept.length === 0 ? chunk : Buffer.concat([kept, chunk]);
    let done = 0;
    for (let at = text.indexOf(sought); at !== -1; at = text.indexOf(sought, done)) {
      yield text.subarray(done, at);
      yield instead;
      done = at + sought.length;
    }
    // The beginning of one may be at the end.
    const safe = Math.max(done, text.length - sought.length + 1);
    if (safe > done) yield text.subarray(done, safe);
    kept = Buffer.from(text.subarray(safe));
  }
  if (kept.length > 0) yield kept;
}

function quoted(name: string): string {
  return `\`${name.replaceAll('`', '``')}\``;
}
