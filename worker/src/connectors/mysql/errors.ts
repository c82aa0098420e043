import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { networkError } from '../../net/dial.ts';
import { isTlsError, tlsFailed } from '../database/tls.ts';
import type { ToolOutcome } from '../database/tool-host.ts';

/** Errors of the server and of the client library by their numbers. */
const codesByNumber: Record<number, ErrorCode> = {
  1044: 'DATABASE_PERMISSION',
  1045: 'SOURCE_AUTH_FAILED',
  1049: 'DATABASE_NOT_FOUND',
  1130: 'SOURCE_AUTH_FAILED',
  1142: 'DATABASE_PERMISSION',
  1143: 'DATABASE_PERMISSION',
  1227: 'DATABASE_PERMISSION',
  1370: 'DATABASE_PERMISSION',
  // The definer of a view, or what it reads, is gone or may not read it.
  1356: 'DATABASE_PERMISSION',
  1449: 'DATABASE_PERMISSION',
  1698: 'SOURCE_AUTH_FAILED',
  1524: 'SOURCE_AUTH_FAILED',
  2002: 'SOURCE_UNREACHABLE',
  2003: 'SOURCE_UNREACHABLE',
  2005: 'SOURCE_HOST_UNKNOWN',
  2026: 'SOURCE_TLS_FAILED',
};

/** An error of the library, of the server through it, or of the way to it. */
export function clientError(error: unknown, what: string): XVaultError {
  if (error instanceof XVaultError) return error;
  const number: unknown = error instanceof Error ? Reflect.get(error, 'errno') : undefined;
  const words = error instanceof Error ? error.message : String(error);
  const code = typeof number === 'number' && number > 0 ? codesByNumber[number] : undefined;
  if (code !== undefined) return new XVaultError(code, { detail: `${what}: ${words}`, cause: error });
  if (isTlsError(error)) return tlsFailed(error);
  const system: unknown = error instanceof Error ? Reflect.get(error, 'syscall') : undefined;
  if (typeof system === 'string') return networkError(error, what);
  return new XVaultError('SOURCE_PROTOCOL', { detail: `${what}: ${words}`, cause: error });
}

/** Why a dumper or client ended badly, by what it said last. */
export function toolError(outcome: ToolOutcome, otherwise: ErrorCode): XVaultError {
  const { stderr, description } = outcome;
  const numbers = [...stderr.matchAll(/(?:ERROR|error:?) (\d{4})\b|\((\d{4})\)/gi)].map(([, a, b]) => Number(a ?? b));
  const known = numbers.map((number) => codesByNumber[number]).find((code) => code !== undefined);
  const lacks = /insufficient privileges|command denied|access denied; you need/i.test(stderr);
  return new XVaultError(lacks ? 'DATABASE_PERMISSION' : (known ?? otherwise), { detail: description });
}
