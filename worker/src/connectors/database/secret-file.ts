import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, type FileHandle, open, unlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Memory, where the system has such a place: what is written there never reaches a disk. */
const memoryFolder = '/dev/shm';

/**
 * An open file without a name that holds `text`. A child that is given its descriptor as 3 reads it at `/dev/fd/3`; nobody
 * else can, and nothing is left behind however the two processes end. A pipe will not do: Node's are socket pairs, which
 * cannot be opened by a path, and libpq wants a regular file.
 */
export async function openSecretFile(text: string): Promise<FileHandle> {
  const folder = await access(memoryFolder, constants.W_OK).then(
    () => memoryFolder,
    () => tmpdir(),
  );
  const path = join(folder, `.xvault-${randomUUID()}`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(path, flags, 0o600);
  try {
    await unlink(path);
    await file.writeFile(text);
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}
