import { XVaultError } from '@xvault/shared/errors.ts';
import { typeOf } from './entries.ts';
import { openDirectory, realPath, stat } from './operations.ts';
import type { Attrs } from './packets.ts';
import { SftpStatusError, statusCode } from './status.ts';
import type { SftpWire } from './wire.ts';

export interface OpenedRoot {
  /** Canonical path on the server. */
  readonly path: Buffer;
  readonly attrs: Attrs;
}

/** Looks at the directory to back up. Throws SOURCE_PATH_NOT_FOUND, SOURCE_PERMISSION. */
export async function openRoot(wire: SftpWire, path: string, signal: AbortSignal): Promise<OpenedRoot> {
  try {
    const canonical = Buffer.from(await realPath(wire, Buffer.from(path), signal));
    const attrs = await stat(wire, canonical, signal);
    const type = typeOf(attrs);
    if (type !== 'directory' && type !== 'unknown') {
      throw new XVaultError('SOURCE_PATH_NOT_FOUND', { detail: `${path} is not a directory` });
    }
    wire.release(await openDirectory(wire, canonical, signal));
    return { path: canonical, attrs };
  } catch (error) {
    throw error instanceof SftpStatusError ? rootError(error) : error;
  }
}

export function rootError(error: SftpStatusError): XVaultError {
  const detail = `the server refused the root: ${error.message}`;
  if (error.status === statusCode.noSuchFile) return new XVaultError('SOURCE_PATH_NOT_FOUND', { detail, cause: error });
  if (error.status === statusCode.permissionDenied)
    return new XVaultError('SOURCE_PERMISSION', { detail, cause: error });
  return new XVaultError('SOURCE_READ_FAILED', { detail, cause: error });
}
