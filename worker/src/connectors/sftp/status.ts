import type { ItemCode } from '../connector.ts';

export const statusCode = { ok: 0, eof: 1, noSuchFile: 2, permissionDenied: 3, failure: 4, unsupported: 8 } as const;

/** OpenSSH's server calls the system with whole paths, which no system takes beyond this (PATH_MAX, its NUL included). */
export const longestPathBytes = 4095;

/** The server refused one request; the connection goes on. */
export class SftpStatusError extends Error {
  override readonly name = 'SftpStatusError';
  readonly status: number;

  constructor(status: number, words: string) {
    super(`status ${status}${words === '' ? '' : ` (${words})`}`);
    this.status = status;
  }
}

/** What a refusal means for the item that was asked for. */
export function itemCodeOf(error: SftpStatusError, path: Buffer): ItemCode {
  if (error.status === statusCode.noSuchFile) return 'ITEM_VANISHED';
  if (error.status === statusCode.failure && path.length > longestPathBytes) return 'ITEM_NAME_UNSUPPORTED';
  return 'ITEM_UNREADABLE';
}
