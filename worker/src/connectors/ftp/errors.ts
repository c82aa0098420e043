import { XVaultError } from '@xvault/shared/errors.ts';
import { FTPError } from 'basic-ftp';
import { networkError } from '../../net/dial.ts';
import type { ItemCode } from '../connector.ts';

export { FTPError };

/** The server has said no to one thing, and goes on listening. */
export function isRefusal(error: unknown): error is FTPError {
  return error instanceof FTPError && error.code !== 421;
}

/** The command is not known, or not in this form. */
export function isUnknownCommand(error: unknown): boolean {
  return error instanceof FTPError && [500, 501, 502, 503, 504].includes(error.code);
}

/** Nothing that another try could change. */
export function isFinal(error: unknown): boolean {
  return error instanceof XVaultError && !error.retryable;
}

/** What went wrong before a connection could be used. */
export function connectError(error: unknown, what: string): XVaultError {
  if (error instanceof XVaultError) return error;
  if (error instanceof FTPError) {
    const busy = error.code === 421 || error.code === 120;
    return new XVaultError(busy ? 'SOURCE_CONNECTION_REFUSED' : 'SOURCE_PROTOCOL', {
      detail: `${what}: ${saidBy(error)}`,
      cause: error,
    });
  }
  if (isTlsError(error)) return tlsError(error);
  if (error instanceof Error && /^Timeout/.test(error.message)) {
    return new XVaultError('SOURCE_TIMEOUT', { detail: what, cause: error });
  }
  const { code } = error as NodeJS.ErrnoException;
  return code === undefined || code === '0'
    ? new XVaultError('SOURCE_PROTOCOL', { detail: `${what}: ${wordsOf(error)}`, cause: error })
    : networkError(error, what);
}

/** What ended a connection that was in use. */
export function lostError(error: unknown): XVaultError {
  if (error instanceof XVaultError) return error;
  if (isTlsError(error)) return tlsError(error);
  return new XVaultError('SOURCE_LOST', { detail: wordsOf(error), cause: error });
}

export function tlsError(error: unknown): XVaultError {
  return new XVaultError('SOURCE_TLS_FAILED', { detail: wordsOf(error), cause: error });
}

/** Codes of node:tls and OpenSSL, not those of the system. */
function isTlsError(error: unknown): boolean {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (typeof code !== 'string') return false;
  return /CERT|^ERR_(TLS|SSL)|^UNABLE_TO_|SELF_SIGNED|^EPROTO$/.test(code);
}

export function itemCodeOf(error: FTPError): ItemCode {
  return /permission|denied|not allowed|access/i.test(error.message) ? 'ITEM_UNREADABLE' : 'ITEM_VANISHED';
}

/** The server's words, for operators. */
export function saidBy(error: FTPError): string {
  return error.message.slice(0, 500);
}

function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message.slice(0, 500) : String(error);
}
