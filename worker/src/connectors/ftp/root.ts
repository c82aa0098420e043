import { XVaultError } from '@xvault/shared/errors.ts';
import type { FtpConfig } from '@xvault/shared/sources.ts';
import type { FtpConnection } from './connection.ts';
import { isRefusal, saidBy } from './errors.ts';
import { isBroken } from './listing.ts';
import { nameToWire } from './names.ts';

/** The source's root as on the wire. Throws SOURCE_PATH_NOT_FOUND or SOURCE_PERMISSION where it cannot be entered. */
export async function openRoot(connection: FtpConnection, { path, encoding }: FtpConfig): Promise<string> {
  const wire = nameToWire(Buffer.from(path), encoding);
  if (wire === undefined) throw new XVaultError('SOURCE_PATH_NOT_FOUND', { detail: 'FTP cannot carry this path' });
  try {
    await connection.command(`CWD ${wire}`);
    return wire;
  } catch (error) {
    if (!isRefusal(error)) throw error;
    // Most servers use the same number, and some the same words, for what is not there and what is not allowed.
    const forbidden = /permission|denied|not allowed/i.test(error.message) || (await isListed(connection, wire));
    const code = forbidden ? 'SOURCE_PERMISSION' : 'SOURCE_PATH_NOT_FOUND';
    throw new XVaultError(code, { detail: saidBy(error), cause: error });
  }
}

/** Whether the directory above shows a directory of this name. */
async function isListed(connection: FtpConnection, path: string): Promise<boolean> {
  const trimmed = path.replace(/\/+$/, '');
  const cut = trimmed.lastIndexOf('/');
  if (cut === -1) return false;
  try {
    const { items } = await connection.list(trimmed.slice(0, cut) || '/');
    const name = trimmed.slice(cut + 1);
    return items.some((item) => !isBroken(item) && item.name === name && item.type === 'directory');
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return false;
  }
}
