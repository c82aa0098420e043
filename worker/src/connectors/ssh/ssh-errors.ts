import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';

/** How far a connection had come. */
export type Phase = 'handshake' | 'auth' | 'session';

interface SshError extends Error {
  readonly level?: string;
  readonly code?: number | string;
}

/** RFC 4253, 11.1. */
const noMoreAuthMethods = 14;

/** An error of ssh2 by what it means. The words are the library's or the server's and never hold the secret. */
export function sshError(error: SshError, phase: Phase): XVaultError {
  return new XVaultError(codeOf(error, phase), { detail: `${phase}: ${error.message}`, cause: error });
}

function codeOf(error: SshError, phase: Phase): ErrorCode {
  if (phase === 'session') return 'SOURCE_LOST';
  if (error.level === 'client-timeout') return 'SOURCE_TIMEOUT';
  if (error.level === 'client-socket') return 'SOURCE_UNREACHABLE';
  const refused =
    error.level === 'client-authentication' ||
    (phase === 'auth' && (error.code === noMoreAuthMethods || /authentication failures/i.test(error.message)));
  return refused ? 'SOURCE_AUTH_FAILED' : 'SOURCE_PROTOCOL';
}
