const slash = 0x2f;
const dot = 0x2e;
const longestNameBytes = 255;

/**
 * Where something goes whose own name is taken: `report (restored 2026-11-21 04.10.22 9f3c).txt`. The same for each attempt
 * of a run, and of no other run.
 */
export function renamed(path: Buffer, mark: string): Buffer {
  const at = path.lastIndexOf(slash) + 1;
  const name = path.subarray(at);
  const cut = extensionAt(name);
  const addition = Buffer.from(` (${mark})`);
  const extension = name.subarray(cut);
  const stem = cutBytes(name.subarray(0, cut), longestNameBytes - addition.length - extension.length);
  return Buffer.concat([path.subarray(0, at), stem, addition, extension]);
}

/** The part of a name that {@link renamed} adds, from when the run was asked for and its id. */
export function renameMark(createdAtMs: number, runId: string): string {
  const [day = '', time = ''] = new Date(createdAtMs).toISOString().split('T');
  return `restored ${day} ${time.slice(0, 8).replaceAll(':', '.')} ${runId.slice(-4)}`;
}

/** A short ending after a dot that is not the first character, else the end of the name. */
function extensionAt(name: Buffer): number {
  const at = name.lastIndexOf(dot);
  return at > 0 && name.length - at <= 16 ? at : name.length;
}

/** At most so many bytes, without half a character at the end. */
function cutBytes(bytes: Buffer, limit: number): Buffer {
  if (bytes.length <= limit) return bytes;
  let end = limit;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80 && limit - end < 4) end -= 1;
  return bytes.subarray(0, end);
}
