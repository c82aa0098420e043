import { XVaultError } from '@xvault/shared/errors.ts';

/** What is said of a source, said of a destination. */
export function asStorageError(error: unknown): unknown {
  if (!(error instanceof XVaultError)) return error;
  const { code, params } = error;
  const detail = error.detail ?? code;
  if (code === 'SOURCE_AUTH_FAILED' || code === 'SOURCE_KEY_INVALID') {
    return new XVaultError('STORAGE_AUTH_FAILED', { detail, params, cause: error });
  }
  if (code === 'SOURCE_TLS_FAILED') return new XVaultError('STORAGE_TLS_FAILED', { detail, params, cause: error });
  // Codes of the address and of host keys mean the same for both.
  if (code === 'SOURCE_ADDRESS_FORBIDDEN' || !code.startsWith('SOURCE_')) return error;
  return new XVaultError('STORAGE_UNREACHABLE', { detail, params, cause: error });
}
