import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rename, unlink } from 'node:fs/promises';
import { errnoOf } from '../../storage/local-fs-sync.ts';
import { inDirectory } from './target-directories.ts';

const zeros = Buffer.alloc(64 * 1024);

/**
 * Makes something under a temporary name in an open directory and moves it to its own, replacing what is there. What an earlier
 * attempt with the same tag left is removed; a failure leaves nothing.
 */
export async function replaceIn(
  directory: FileHandle,
  name: Buffer,
  tag: string,
  make: (temporary: Buffer) => Promise<void>,
): Promise<void> {
  // The same name each time, so that a killed attempt's is found again.
  const digest = createHash('sha256').update(name).digest('hex').slice(0, 16);
  const temporary = inDirectory(directory, Buffer.from(`.xvault-${tag}-${digest}.part`));
  await removeFile(temporary);
  try {
    await make(temporary);
    await rename(temporary, inDirectory(directory, name));
  } catch (error) {
    await removeFile(temporary);
    throw error;
  }
}

/** A new file; long stretches of zeros become holes. */
export async function writeNewFile(
  place: Buffer,
  content: AsyncIterable<Buffer>,
  finish: (handle: FileHandle) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const handle = await open(
    place,
    constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW,
    0o600,
  );
  try {
    let position = 0;
    for await (const chunk of content) {
      signal.throwIfAborted();
      await writeSparsely(handle, chunk, position);
      position += chunk.length;
    }
    await handle.truncate(position);
    await finish(handle);
  } finally {
    await handle.close();
  }
}

async function writeSparsely(handle: FileHandle, chunk: Buffer, position: number): Promise<void> {
  for (let at = 0; at < chunk.length; ) {
    if (isHole(chunk, at)) {
      at += zeros.length;
      continue;
    }
    let end = at;
    while (end < chunk.length && !isHole(chunk, end)) end = Math.min(end + zeros.length, chunk.length);
    while (at < end) at += (await handle.write(chunk, at, end - at, position + at)).bytesWritten;
  }
}

function isHole(chunk: Buffer, at: number): boolean {
  return at + zeros.length <= chunk.length && chunk.compare(zeros, 0, zeros.length, at, at + zeros.length) === 0;
}

async function removeFile(place: Buffer): Promise<void> {
  try {
    await unlink(place);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error;
  }
}
