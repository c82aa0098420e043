import { once } from 'node:events';
import { Readable } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import { ZipArchive, type ZipEntryData } from 'archiver';
import type { TarMember } from '../../artifact/tar.ts';
import { zipLinkTarget, zipName } from './export-zip-name.ts';
import { isRootPath } from './paths.ts';
import type { FilledEntry } from './restore-contents.ts';
import type { RestorePlan } from './restore-plan.ts';
import type { RestoreProgress } from './restore-progress.ts';

/** Up to this a content is handed over in one piece, which is much faster than a stream of its own. */
const smallBytes = 256 * 1024;
/** From here on a zip needs the 64-bit form of its directory; archiver itself changes over one entry too late. */
const zip64Entries = 0xffff;
const maxNameBytes = 0xffff;

/** The entries as a zip. Hard links must have been turned into copies before. */
export async function* zipStream(
  entries: AsyncIterable<FilledEntry>,
  plan: RestorePlan,
  progress: RestoreProgress,
): AsyncGenerator<Buffer> {
  const archive = new ZipArchive({
    zlib: { level: 3, chunkSize: 256 * 1024 },
    forceZip64: plan.entryCount >= zip64Entries,
  });
  const gone = new AbortController();
  // Errors travel by destroying the archive, so that whoever reads it gets them.
  const feed = feedArchive(archive, entries, progress, gone.signal).catch((error: unknown) => {
    archive.destroy(error instanceof Error ? error : new Error(String(error)));
  });
  try {
    for await (const chunk of archive) yield chunk as Buffer;
  } finally {
    gone.abort();
    archive.destroy();
    // The source must be at rest before its reader is closed.
    await feed;
  }
}

/** One entry at a time, so that nothing queues up in archiver's memory. */
async function feedArchive(
  archive: ZipArchive,
  entries: AsyncIterable<FilledEntry>,
  progress: RestoreProgress,
  gone: AbortSignal,
): Promise<void> {
  for await (const entry of entries) {
    if (!isRootPath(entry.member.path)) await appendEntry(archive, entry, progress, gone);
    progress.entryDone(entry.member);
  }
  await archive.finalize();
}

async function appendEntry(
  archive: ZipArchive,
  { member, chunks }: FilledEntry,
  progress: RestoreProgress,
  gone: AbortSignal,
): Promise<void> {
  const counted = countChunks(chunks, progress);
  if (member.sizeBytes <= smallBytes) {
    const pieces: Buffer[] = [];
    for await (const piece of counted) pieces.push(piece);
    await append(archive, Buffer.concat(pieces), member, gone);
    return;
  }
  const source = Readable.from(counted, { objectMode: false });
  // Archiver does not hear of a source's error.
  source.once('error', (error) => archive.destroy(error));
  try {
    await append(archive, source, member, gone);
  } finally {
    source.destroy();
  }
}

async function append(
  archive: ZipArchive,
  content: Buffer | Readable,
  member: TarMember,
  gone: AbortSignal,
): Promise<void> {
  // Listened for first: a small entry may be done before append returns.
  const done = once(archive, 'entry', { signal: gone });
  archive.append(content, entryData(member));
  await done;
}

function entryData(member: TarMember): ZipEntryData & { linkname?: string } {
  const name = zipName(member.path);
  if (Buffer.byteLength(name) >= maxNameBytes) {
    throw new XVaultError('RESTORE_FAILED', { detail: 'a path is longer than a zip can hold' });
  }
  const date = new Date(Number(member.mtimeNs / 1_000_000n));
  if (member.type === 'directory') return { name: `${name}/`, type: 'directory', mode: member.mode, date };
  if (member.type === 'symlink' && member.linkTarget !== null) {
    return { name, type: 'symlink', linkname: zipLinkTarget(member.linkTarget), mode: 0o777, date };
  }
  return { name, type: 'file', mode: member.mode, date };
}

async function* countChunks(chunks: AsyncIterable<Buffer>, progress: RestoreProgress): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    progress.addBytes(chunk.length);
    yield chunk;
  }
}
