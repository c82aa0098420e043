import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';

/** What went wrong with a request to S3, whatever server it is. */
export type S3Failure =
  | 'auth'
  | 'permission'
  | 'no_bucket'
  | 'no_key'
  | 'no_upload'
  | 'host_unknown'
  | 'refused'
  | 'timeout'
  | 'tls'
  | 'lost'
  | 'full'
  | 'condition'
  | 'unsupported'
  | 'other';

const byName: Record<string, S3Failure> = {
  InvalidAccessKeyId: 'auth',
  SignatureDoesNotMatch: 'auth',
  InvalidToken: 'auth',
  ExpiredToken: 'auth',
  TokenRefreshRequired: 'auth',
  AuthorizationHeaderMalformed: 'auth',
  CredentialsProviderError: 'auth',
  RequestTimeTooSkewed: 'auth',
  AccessDenied: 'permission',
  AllAccessDisabled: 'permission',
  AccountProblem: 'permission',
  KMSAccessDeniedException: 'permission',
  InvalidObjectState: 'permission',
  NoSuchBucket: 'no_bucket',
  InvalidBucketName: 'no_bucket',
  NoSuchKey: 'no_key',
  NotFound: 'no_key',
  NoSuchUpload: 'no_upload',
  QuotaExceeded: 'full',
  StorageFull: 'full',
  XMinioStorageFull: 'full',
  EntityTooLarge: 'full',
  PreconditionFailed: 'condition',
  ConditionalRequestConflict: 'condition',
  NotImplemented: 'unsupported',
  TimeoutError: 'timeout',
  RequestTimeout: 'timeout',
};

const bySystemCode: Record<string, S3Failure> = {
  ENOTFOUND: 'host_unknown',
  EAI_AGAIN: 'host_unknown',
  ENODATA: 'host_unknown',
  ECONNREFUSED: 'refused',
  ETIMEDOUT: 'timeout',
  ECONNRESET: 'lost',
  EPIPE: 'lost',
  EHOSTUNREACH: 'lost',
  ENETUNREACH: 'lost',
  ERR_STREAM_PREMATURE_CLOSE: 'lost',
  ERR_SSL_WRONG_VERSION_NUMBER: 'tls',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'tls',
  SELF_SIGNED_CERT_IN_CHAIN: 'tls',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'tls',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'tls',
  CERT_HAS_EXPIRED: 'tls',
  ERR_TLS_CERT_ALTNAME_INVALID: 'tls',
};

interface Shape {
  readonly name?: string;
  readonly code?: string;
  readonly message?: string;
  readonly $metadata?: { readonly httpStatusCode?: number };
}

export function s3Failure(error: unknown): S3Failure {
  const { name = '', code = '', $metadata } = (error ?? {}) as Shape;
  const named = byName[name] ?? byName[code] ?? bySystemCode[code];
  if (named !== undefined) return named;
  switch ($metadata?.httpStatusCode) {
    case 401:
      return 'auth';
    case 403:
      return 'permission';
    case 404:
      return 'no_key';
    case 412:
      return 'condition';
    case 501:
      return 'unsupported';
    case 507:
      return 'full';
    default:
      return 'other';
  }
}

/** True where the same request may well succeed a moment later. */
export function isPassing(error: unknown): boolean {
  if (error instanceof XVaultError) return false;
  const failure = s3Failure(error);
  if (['timeout', 'lost', 'refused'].includes(failure)) return true;
  const status = ((error ?? {}) as Shape).$metadata?.httpStatusCode ?? 0;
  // Without a status, what broke was the connection.
  return failure === 'other' && (status === 0 || status === 429 || status >= 500);
}

/** True where a server does not do what was asked, but may do it in another way. */
export function isRefused(error: unknown): boolean {
  const cause = error instanceof XVaultError ? error.cause : error;
  const failure = s3Failure(cause);
  if (failure === 'unsupported' || failure === 'permission') return true;
  const status = ((cause ?? {}) as Shape).$metadata?.httpStatusCode ?? 0;
  return failure === 'other' && status >= 400 && status < 500 && !isPassing(cause);
}

const storageCodes: Record<S3Failure, ErrorCode> = {
  auth: 'STORAGE_AUTH_FAILED',
  permission: 'STORAGE_PERMISSION',
  no_bucket: 'STORAGE_BUCKET_NOT_FOUND',
  no_key: 'ARTIFACT_MISSING',
  no_upload: 'STORAGE_FAILED',
  host_unknown: 'STORAGE_UNREACHABLE',
  refused: 'STORAGE_UNREACHABLE',
  timeout: 'STORAGE_UNREACHABLE',
  tls: 'STORAGE_UNREACHABLE',
  lost: 'STORAGE_UNREACHABLE',
  full: 'STORAGE_FULL',
  condition: 'STORAGE_FAILED',
  unsupported: 'STORAGE_FAILED',
  other: 'STORAGE_FAILED',
};

/** A failed request to a destination; an XVaultError and the reason of an abort go through as they are. */
export function s3StorageError(cause: unknown, what: string, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if (cause instanceof XVaultError) return cause;
  return new XVaultError(storageCodes[s3Failure(cause)], { detail: describeS3Error(cause, what), cause });
}

const sourceCodes: Record<S3Failure, ErrorCode> = {
  auth: 'SOURCE_AUTH_FAILED',
  permission: 'SOURCE_PERMISSION',
  no_bucket: 'SOURCE_BUCKET_NOT_FOUND',
  no_key: 'SOURCE_READ_FAILED',
  no_upload: 'SOURCE_READ_FAILED',
  host_unknown: 'SOURCE_HOST_UNKNOWN',
  refused: 'SOURCE_CONNECTION_REFUSED',
  timeout: 'SOURCE_TIMEOUT',
  tls: 'SOURCE_TLS_FAILED',
  lost: 'SOURCE_LOST',
  full: 'SOURCE_READ_FAILED',
  condition: 'SOURCE_READ_FAILED',
  unsupported: 'SOURCE_PROTOCOL',
  other: 'SOURCE_READ_FAILED',
};

/** The same for a source. */
export function s3SourceError(cause: unknown, what: string, signal?: AbortSignal): unknown {
  if (signal?.aborted) return signal.reason;
  if (cause instanceof XVaultError) return cause;
  return new XVaultError(sourceCodes[s3Failure(cause)], { detail: describeS3Error(cause, what), cause });
}

/** For operators. S3's own errors hold no secrets: the signature that a server quotes back is cut away. */
export function describeS3Error(cause: unknown, what: string): string {
  const { name, code, message, $metadata } = (cause ?? {}) as Shape;
  const status = $metadata?.httpStatusCode === undefined ? '' : ` (${$metadata.httpStatusCode})`;
  const words = code ?? (message ?? '').split('\n', 1)[0]?.slice(0, 200);
  return `${what}: ${name ?? 'error'}${status} ${words ?? ''}`.trim();
}
