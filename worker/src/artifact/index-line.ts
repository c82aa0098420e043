import { z } from 'zod';
import { native } from '../native/binding.ts';
import { RecordWriter } from '../native/records.ts';
import type { IndexEntry } from './entry.ts';
import { fixedSecondsPattern, parseFixedSeconds } from './mtime.ts';

const count = z.int().min(0);

/** One line of the index as it is stored. A name that is not UTF-8 stands in its `_b64` field. */
const indexLine = z.strictObject({
  path: z.string().min(1).optional(),
  path_b64: z.base64().min(1).optional(),
  type: z.enum(['file', 'directory', 'symlink', 'hardlink']),
  size: count,
  /** Absent when nothing was padded. */
  padding: count.optional(),
  /** Only of files with holes: bytes of map and data in the tar. */
  sparse: count.optional(),
  mode: count.max(0o7777),
  uid: count,
  gid: count,
  mtime: z.string().regex(fixedSecondsPattern),
  link: z.string().optional(),
  link_b64: z.base64().optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
  offset: count.multipleOf(512),
  data_offset: count.multipleOf(512),
  pack: z.string().min(1).optional(),
  /** Only where there are some: how many extended attributes the header in the tar has. */
  xattrs: count.min(1).optional(),
  attributes: z.record(z.string(), z.string()).optional(),
});

const lineEnd = '}\n';

/** One line, its line break included. */
export function encodeIndexLine(entry: IndexEntry): Buffer {
  const record = new RecordWriter(entry.path.length + (entry.linkTarget?.length ?? 0) + 160);
  record.item(entry);
  record.place(entry);
  const line = native.encodeIndexLines(record.finish(), 1, 0);
  if (entry.attributes === undefined) return line;
  // Few sources have any, and none that makes its lines in native code.
  const rest = Buffer.from(`,"attributes":${JSON.stringify(entry.attributes)}}\n`);
  return Buffer.concat([line.subarray(0, -lineEnd.length), rest]);
}

/** The entry of one line without its line break; undefined when it is damaged or contradicts itself. */
export function decodeIndexLine(text: string): IndexEntry | undefined {
  const parsed = indexLine.safeParse(parseJson(text));
  if (!parsed.success) return undefined;
  const line = parsed.data;
  const path = nameBytes(line.path, line.path_b64);
  const linkTarget = nameBytes(line.link, line.link_b64);
  const isLink = line.type === 'symlink' || line.type === 'hardlink';
  const isFile = line.type === 'file';
  if (path === null || path === undefined || linkTarget === undefined || isLink !== (linkTarget !== null))
    return undefined;
  if (isFile !== (line.sha256 !== undefined) || (!isFile && line.size !== 0)) return undefined;
  if (!isFile && line.sparse !== undefined) return undefined;
  const paddingBytes = line.padding ?? 0;
  if (paddingBytes > line.size || line.data_offset <= line.offset) return undefined;
  return {
    path,
    type: line.type,
    sizeBytes: line.size,
    sparseBytes: line.sparse ?? null,
    paddingBytes,
    mode: line.mode,
    uid: line.uid,
    gid: line.gid,
    mtimeNs: parseFixedSeconds(line.mtime),
    linkTarget,
    sha256: line.sha256 ?? null,
    tarOffset: line.offset,
    dataOffset: line.data_offset,
    pack: line.pack ?? null,
    ...(line.xattrs !== undefined && { xattrCount: line.xattrs }),
    ...(line.attributes !== undefined && { attributes: line.attributes }),
  };
}

/** null: neither is given; undefined: both are. */
function nameBytes(text: string | undefined, base64: string | undefined): Buffer | null | undefined {
  if (text !== undefined && base64 !== undefined) return undefined;
  if (text !== undefined) return Buffer.from(text);
  return base64 === undefined ? null : Buffer.from(base64, 'base64');
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
