import type { ErrorCode } from '@xvault/shared/errors.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';

/** Whether the source is read by a service account. */
export function actsByKey({ config }: SourceConnection): boolean {
  return 'connection_id' in config && config.connection_id === null;
}

/** A service account has no connection to sign in to again and needs no app: while it acts, its key was refused. */
export function keyCode(code: ErrorCode): ErrorCode {
  return code === 'CONNECTION_REAUTHORIZE' || code === 'OAUTH_NOT_CONFIGURED' ? 'SOURCE_AUTH_FAILED' : code;
}
