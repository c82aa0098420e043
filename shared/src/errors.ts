/** Who must act on an error: the customer, the operator of the platform, or nobody (the platform tries again itself). */
export type Fault = 'customer' | 'operator' | 'system';

interface CatalogueEntry {
  readonly fault: Fault;
  /** Whether the same attempt may succeed later with nothing changed by a person. */
  readonly retryable: boolean;
  /** HTTP status when the Hub answers with it. */
  readonly http: number;
  /** What the customer reads. Never holds a path, an endpoint, a credential or a tool's own words. */
  readonly sentence: string;
}

function entry(fault: Fault, retryable: boolean, http: number, sentence: string): CatalogueEntry {
  return { fault, retryable, http, sentence };
}

/** The one catalogue of errors; `docs/errors.md` is generated from it. Codes never change their meaning. */
export const errorCatalogue = {
  // Requests to the API
  BAD_REQUEST: entry('customer', false, 400, 'The request is not valid. See "errors" for the fields to correct.'),
  UNAUTHENTICATED: entry('customer', false, 401, 'Sign in first: the token is missing, wrong or expired.'),
  LOGIN_FAILED: entry('customer', false, 401, 'The e-mail address or the password is wrong.'),
  FORBIDDEN: entry('customer', false, 403, 'Your role does not allow this.'),
  TENANT_REQUIRED: entry('customer', false, 400, 'Name the tenant to act for in the header X-XVault-Tenant.'),
  NOT_FOUND: entry('customer', false, 404, 'There is no such object.'),
  CONFLICT: entry('customer', false, 409, 'The object already exists or is in use.'),
  METHOD_NOT_ALLOWED: entry('customer', false, 405, 'This address does not take that method.'),
  BODY_TOO_LARGE: entry('customer', false, 413, 'The request is too large.'),
  UNSUPPORTED_MEDIA_TYPE: entry('customer', false, 415, 'Send the request as application/json.'),
  RATE_LIMITED: entry('customer', true, 429, 'Too many requests. Wait a moment and try again.'),
  JOB_NOT_ACTIVE: entry('customer', false, 409, 'The job is not active. Resume it before you run it.'),
  RUN_NOT_CANCELLABLE: entry('customer', false, 409, 'The run has already ended.'),
  RUN_OVERLAP: entry('customer', false, 409, 'The job already has a run that has not ended.'),
  SNAPSHOT_UNAVAILABLE: entry('customer', false, 409, 'The snapshot is not available for this.'),
  SNAPSHOT_LOCKED: entry('customer', false, 409, 'The snapshot is locked and cannot be deleted yet.'),
  SNAPSHOT_LAST: entry('customer', false, 409, 'This is the last good snapshot of its source. It is kept.'),
  EXPORT_EXPIRED: entry('customer', false, 410, 'The export has expired. Restore again to make a new one.'),
  EXPORT_LINK_USED: entry('customer', false, 410, 'The download link has been used or has expired. Ask for a new one.'),
  EXPORT_NOT_READY: entry('customer', true, 409, 'The export is not ready yet.'),
  PATH_NOT_ALLOWED: entry('customer', false, 403, 'The operator of the platform has not allowed this path.'),
  SERVICE_UNAVAILABLE: entry('system', true, 503, 'The service is not available right now. Try again shortly.'),
  INTERNAL: entry('system', true, 500, 'Something went wrong on our side. It has been recorded.'),

  // The life of a run
  ATTEMPT_SUPERSEDED: entry('system', false, 409, 'Another attempt has taken over this run.'),
  WORKER_LOST: entry('system', true, 503, 'The worker that carried out the run stopped answering.'),
  WORKER_OFFLINE: entry('operator', true, 503, 'The worker that holds this snapshot is offline.'),
  WORKER_DRAINED: entry('system', true, 503, 'The worker was shut down in an orderly way and handed the run back.'),
  WORKER_UNSUITABLE: entry('system', true, 409, 'Another worker has to carry out this run.'),
  AGENT_OFFLINE: entry('customer', true, 503, 'The agent that carried out the run stopped answering.'),
  RUN_CANCELLED: entry('customer', false, 409, 'The run was cancelled.'),
  KEY_NOT_HELD: entry('operator', false, 503, 'No worker that can open this secret took the run.'),
  ERR_DECRYPT_SOURCE_CONFIG: entry('operator', false, 500, 'The stored credentials could not be opened.'),
  ERR_DECRYPT_DEST_ACCESS_KEY: entry('operator', false, 500, 'The access key of the destination could not be opened.'),
  ERR_DECRYPT_DEST_SECRET_KEY: entry('operator', false, 500, 'The credentials of the destination could not be opened.'),
  ERR_DECRYPT_CRYPT_KEY: entry('operator', false, 500, 'The key of the job could not be opened.'),
  NO_CAPABLE_WORKER: entry('operator', true, 503, 'No worker is able to carry out this kind of run.'),

  // Reaching a source
  SOURCE_AUTH_FAILED: entry('customer', false, 422, 'The server refused the user name, password or key.'),
  SOURCE_KEY_INVALID: entry(
    'customer',
    false,
    422,
    'The private key could not be read: check its format and passphrase.',
  ),
  SOURCE_HOST_UNKNOWN: entry('customer', true, 422, 'The host name could not be found.'),
  SOURCE_CONNECTION_REFUSED: entry(
    'customer',
    true,
    422,
    'The server refused the connection: check the address and port.',
  ),
  SOURCE_TIMEOUT: entry('customer', true, 422, 'The server did not answer in time.'),
  SOURCE_UNREACHABLE: entry('customer', true, 422, 'The server could not be reached.'),
  SOURCE_ADDRESS_FORBIDDEN: entry(
    'customer',
    false,
    422,
    'The address of this server is in a range that is not allowed.',
  ),
  SOURCE_REDIRECT_REFUSED: entry(
    'customer',
    false,
    422,
    'The server sends on to another address, which is not followed. Enter the address that it sends on to.',
  ),
  SOURCE_PROTOCOL: entry('customer', true, 422, 'The server answered in a way that was not understood.'),
  SSH_HOST_KEY_UNKNOWN: entry(
    'customer',
    false,
    422,
    'The key of the SSH server is not known yet: test the connection first.',
  ),
  SSH_HOST_KEY_CHANGED: entry(
    'customer',
    false,
    422,
    'The key of the SSH server has changed. If that is expected, accept the new key; if not, someone may be in between.',
  ),
  SOURCE_PATH_NOT_FOUND: entry('customer', false, 422, 'The path to back up does not exist.'),
  SOURCE_PERMISSION: entry('customer', false, 422, 'The path to back up may not be read by this user.'),
  SOURCE_TLS_FAILED: entry('customer', false, 422, 'The certificate of the server could not be trusted.'),
  SOURCE_TOOL_MISSING: entry('customer', false, 422, 'The server lacks a program that this backup needs.'),
  SOURCE_BUCKET_NOT_FOUND: entry('customer', false, 422, 'The bucket does not exist.'),
  DATABASE_NOT_FOUND: entry('customer', false, 422, 'A database to back up does not exist or may not be seen.'),
  DATABASE_PERMISSION: entry('customer', false, 422, 'The database user lacks a privilege that this needs.'),
  DATABASE_DUMP_FAILED: entry('customer', true, 422, 'The database could not be dumped completely.'),
  DATABASE_RESTORE_FAILED: entry('customer', false, 422, 'The database could not be restored completely.'),
  DATABASE_EXISTS: entry('customer', false, 409, 'A database of that name exists and is not empty.'),
  WORDPRESS_NOT_FOUND: entry('customer', false, 422, 'No WordPress installation was found at this path.'),
  WORDPRESS_CONFIG_UNREADABLE: entry('customer', false, 422, 'The configuration of WordPress could not be understood.'),
  HOOK_FAILED: entry('customer', false, 422, 'A command or webhook before or after the backup failed.'),
  SOURCE_LOST: entry('customer', true, 422, 'The connection to the server broke during the transfer.'),
  SOURCE_READ_FAILED: entry('customer', true, 422, 'The source could not be read.'),

  // Single items: the run goes on and ends with a warning
  ITEM_VANISHED: entry('customer', false, 422, 'The item disappeared during the backup.'),
  ITEM_UNREADABLE: entry('customer', false, 422, 'The item could not be read.'),
  ITEM_CHANGED: entry('customer', false, 422, 'The file changed while it was read.'),
  ITEM_UNSUPPORTED: entry('customer', false, 422, 'Sockets, pipes and devices are not backed up.'),
  ITEM_NAME_UNSUPPORTED: entry('customer', false, 422, 'The name of the item cannot be stored.'),
  ITEM_ATTRIBUTES_LEFT_OUT: entry('customer', false, 422, 'Some extended attributes of the item are not stored.'),
  ITEM_LINK_NOT_FOLLOWED: entry('customer', false, 422, 'The symbolic link is kept as it is.'),

  // Storage and artifacts
  STORAGE_FULL: entry('operator', true, 507, 'The destination is full.'),
  STORAGE_AUTH_FAILED: entry('customer', false, 422, 'The destination refused the access key.'),
  STORAGE_PERMISSION: entry('customer', false, 422, 'The access key lacks a permission that the destination needs.'),
  STORAGE_BUCKET_NOT_FOUND: entry('customer', false, 422, 'The bucket of the destination does not exist.'),
  STORAGE_UNREACHABLE: entry('customer', true, 422, 'The destination could not be reached.'),
  STORAGE_TLS_FAILED: entry('customer', false, 422, 'The certificate of the destination could not be trusted.'),
  STORAGE_REDIRECT_REFUSED: entry(
    'customer',
    false,
    422,
    'The destination sends on to another address, which is not followed. Enter the address that it sends on to.',
  ),
  STORAGE_NOT_CONFIGURED: entry('operator', false, 503, 'This destination is not set up on the platform.'),
  STORAGE_FAILED: entry('operator', true, 500, 'The destination could not be written or read.'),
  ARTIFACT_CORRUPT: entry(
    'operator',
    false,
    500,
    'The stored snapshot is damaged: its contents do not match what was written.',
  ),
  ARTIFACT_TRUNCATED: entry('operator', false, 500, 'The stored snapshot is incomplete.'),
  ARTIFACT_MISSING: entry('operator', false, 500, 'The stored snapshot is not where it should be.'),
  IDENTITY_MISMATCH: entry('operator', false, 500, 'The snapshot is not encrypted to the key at hand.'),
  TENANT_KEY_UNAVAILABLE: entry('customer', false, 409, 'The key of this tenant is not held by the platform.'),

  // The sync engine
  SYNC_DELETE_GUARD: entry(
    'customer',
    false,
    409,
    'The run would have removed more than the job allows. Nothing was changed: check the source, or raise the limit.',
  ),
  SYNC_SENTINEL_MISSING: entry(
    'operator',
    false,
    409,
    'What is at the destination does not answer to this job and its key. Nothing was changed.',
  ),
  SYNC_OVERLAP: entry('customer', false, 422, 'The source and the destination lie within each other.'),
  SYNC_FAILED: entry('system', true, 500, 'The transfer ended before everything was there.'),
  SYNC_STALLED: entry('system', true, 500, 'The transfer made no progress for a long time and was ended.'),
  SYNC_TOOL_UNSUITABLE: entry('operator', false, 503, 'The worker has no rclone that it can use.'),
  ERR_RCLONE_START: entry('operator', true, 500, 'The worker could not start rclone.'),
  ERR_WRITE_RCLONE_CONFIG: entry('operator', true, 500, 'The worker could not write what rclone needs for the run.'),
  SYNC_VERSION_BROKEN: entry('operator', false, 500, 'A stored version is not complete.'),
  SOURCE_RATE_LIMITED: entry('customer', true, 422, 'The provider asks to slow down. It is tried again later.'),
  SOURCE_QUOTA_EXCEEDED: entry('customer', false, 422, 'A quota at the provider is used up.'),
  CONNECTION_REAUTHORIZE: entry(
    'customer',
    false,
    422,
    'The connection to the provider was revoked or has expired. Connect it again.',
  ),
  OAUTH_NOT_CONFIGURED: entry('operator', false, 503, 'This provider is not set up on the platform.'),
  OAUTH_STATE_INVALID: entry('customer', false, 400, 'The sign-in with the provider has expired. Start it again.'),
  OAUTH_DENIED: entry('customer', false, 403, 'The provider did not grant the access that was asked for.'),
  ERR_GDRIVE_NO_CLIENT_CREDENTIALS: entry('operator', false, 503, 'Google Drive is not set up on the worker.'),
  ERR_GDRIVE_NO_REFRESH_TOKEN: entry('customer', false, 422, 'There is no token for Google Drive. Connect it again.'),
  ERR_GDRIVE_SOURCE_LOOKUP: entry('customer', false, 422, 'The connection to Google Drive was not found.'),
  ERR_GDRIVE_ENFORCE_TOKEN: entry('system', true, 500, 'The token for Google Drive could not be handed on.'),
  ERR_GDRIVE_REFRESH_PRECHECK: entry('customer', false, 422, 'Google did not renew the access. Connect it again.'),

  // Restores
  RESTORE_TARGET_NOT_EMPTY: entry('customer', false, 409, 'The target directory exists and is not empty.'),
  RESTORE_TARGET_INVALID: entry('customer', false, 422, 'The target directory cannot be used.'),
  RESTORE_PATH_NOT_FOUND: entry('customer', false, 422, 'A path to restore is not in the snapshot.'),
  RESTORE_TARGET_UNSUPPORTED: entry('customer', false, 422, 'This kind of target cannot take that restore.'),
  RESTORE_FAILED: entry('system', true, 500, 'The restored files could not be written.'),
} as const satisfies Record<string, CatalogueEntry>;

export type ErrorCode = keyof typeof errorCatalogue;
export const errorCodes = Object.keys(errorCatalogue) as [ErrorCode, ...ErrorCode[]];

export interface XVaultErrorOptions {
  /** For operators only: may name paths, hosts, a tool's words. Never a secret. */
  readonly detail?: string;
  /** For the customer: values that make the sentence exact (fingerprints, limits). No secrets. */
  readonly params?: Readonly<Record<string, string | number | boolean>>;
  readonly cause?: unknown;
}

/** Every failure that xVault knows by name. `message` is the customer's sentence; `detail` is the operator's. */
export class XVaultError extends Error {
  readonly code: ErrorCode;
  readonly detail: string | undefined;
  readonly params: Readonly<Record<string, string | number | boolean>>;

  constructor(code: ErrorCode, options: XVaultErrorOptions = {}) {
    super(errorCatalogue[code].sentence, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'XVaultError';
    this.code = code;
    this.detail = options.detail;
    this.params = options.params ?? {};
  }

  get fault(): Fault {
    return errorCatalogue[this.code].fault;
  }

  get retryable(): boolean {
    return errorCatalogue[this.code].retryable;
  }
}

/** Anything thrown, as an XVaultError: unknown is INTERNAL, with its words kept for the operator. */
export function asXVaultError(error: unknown): XVaultError {
  if (error instanceof XVaultError) return error;
  const detail = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new XVaultError('INTERNAL', { detail, cause: error });
}

/** For exhaustive switches. */
export function assertNever(value: never): never {
  throw new Error(`unexpected value: ${JSON.stringify(value)}`);
}
