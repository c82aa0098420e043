import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { networkError } from '../../net/dial.ts';
import { isTlsError, tlsFailed } from '../database/tls.ts';
import type { ToolOutcome } from '../database/tool-host.ts';

/** SQLSTATE of what the server says. */
const codesByState: Record<string, ErrorCode> = {
  '28000': 'SOURCE_AUTH_FAILED',
  '28P01': 'SOURCE_AUTH_FAILED',
  '3D000': 'DATABASE_NOT_FOUND',
  '42501': 'DATABASE_PERMISSION',
};

/** The tools say no SQLSTATE, but these words of the server's, in English since they run with LC_ALL=C. */
const codesByWords: readonly (readonly [RegExp, ErrorCode])[] = [
  [
    /password authentication failed|no password supplied|no pg_hba\.conf entry|authentication failed/,
    'SOURCE_AUTH_FAILED',
  ],
  [/database "[^\n]*" does not exist/, 'DATABASE_NOT_FOUND'],
  [/permission denied|must be owner of|must be superuser/, 'DATABASE_PERMISSION'],
  [/aborting because of server version mismatch/, 'SOURCE_TOOL_MISSING'],
  [/server does not support SSL|certificate verify failed|server certificate for|SSL error/, 'SOURCE_TLS_FAILED'],
  [/could not translate host name/, 'SOURCE_HOST_UNKNOWN'],
  [/could not connect to server|Connection refused/, 'SOURCE_CONNECTION_REFUSED'],
];

/** An error of the library, of the server through it, or of the way to it. */
export function clientError(error: unknown, what: string): XVaultError {
  if (error instanceof XVaultError) return error;
  const words = error instanceof Error ? error.message : String(error);
  const state: unknown = error instanceof Error ? Reflect.get(error, 'code') : undefined;
  const code = typeof state === 'string' ? codesByState[state] : undefined;
  if (code !== undefined) return new XVaultError(code, { detail: `${what}: ${words}`, cause: error });
  if (isTlsError(error) || lacksTls(error)) return tlsFailed(error);
  if (error instanceof Error && Reflect.has(error, 'syscall')) return networkError(error, what);
  if (/timeout/i.test(words)) return new XVaultError('SOURCE_TIMEOUT', { detail: `${what}: ${words}`, cause: error });
  return new XVaultError('SOURCE_PROTOCOL', { detail: `${what}: ${words}`, cause: error });
}

/** The library's own words for a server that does not offer TLS. */
export function lacksTls(error: unknown): boolean {
  return error instanceof Error && /does not support SSL/.test(error.message);
}

export function toolError(outcome: ToolOutcome, otherwise: ErrorCode): XVaultError {
  const known = codesByWords.find(([words]) => words.test(outcome.stderr));
  return new XVaultError(known?.[1] ?? otherwise, { detail: outcome.description });
}
