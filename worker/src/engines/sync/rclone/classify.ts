import type { ErrorCode } from '@xvault/shared/errors.ts';
import { plainWords } from './plain-words.ts';

/** What customers see as the `code` of an event about a transfer. */
export type SyncEventCode =
  | 'ERROR_NETWORK'
  | 'ERROR_AUTH'
  | 'ERROR_PERMISSION'
  | 'ERROR_NOT_FOUND'
  | 'ERROR_QUOTA'
  | 'ERROR_RATE_LIMIT'
  | 'ERROR_STORAGE_FULL'
  | 'ERROR_INTERNAL';

export interface Classified {
  readonly event: SyncEventCode;
  /** When the source is at fault, and when the destination is. */
  readonly source: ErrorCode;
  readonly destination: ErrorCode;
}

/** Numbers are codes only where an answer has its code: as its first word, or said to be one. */
const rules: readonly (readonly [RegExp, Classified])[] = [
  // Renewing a token comes first: its refusals have codes of answers as well. Only one of them is for the customer to mend.
  [
    /invalid_client|unauthorized_client|deleted_client|disabled_client/i,
    { event: 'ERROR_AUTH', source: 'OAUTH_NOT_CONFIGURED', destination: 'STORAGE_AUTH_FAILED' },
  ],
  [
    /invalid_grant|empty token found/i,
    { event: 'ERROR_AUTH', source: 'CONNECTION_REAUTHORIZE', destination: 'STORAGE_AUTH_FAILED' },
  ],
  [
    /(?:couldn't|cannot) fetch token/i,
    { event: 'ERROR_NETWORK', source: 'SOURCE_UNREACHABLE', destination: 'STORAGE_UNREACHABLE' },
  ],
  [
    /unable to authenticate|invalidaccesskeyid|signaturedoesnotmatch|(?:^|: )530[ -]|login incorrect|401 unauthorized|error 401\b|autherror|logon failure|status_logon_failure|attempted logon is invalid|invalid_access_token|expired_access_token/i,
    { event: 'ERROR_AUTH', source: 'SOURCE_AUTH_FAILED', destination: 'STORAGE_AUTH_FAILED' },
  ],
  [
    /knownhosts: key is unknown/i,
    { event: 'ERROR_AUTH', source: 'SSH_HOST_KEY_UNKNOWN', destination: 'SSH_HOST_KEY_UNKNOWN' },
  ],
  [
    /knownhosts: key mismatch/i,
    { event: 'ERROR_AUTH', source: 'SSH_HOST_KEY_CHANGED', destination: 'SSH_HOST_KEY_CHANGED' },
  ],
  [
    /x509|certificate|tls: |first record does not look like a tls|http response to https client/i,
    { event: 'ERROR_NETWORK', source: 'SOURCE_TLS_FAILED', destination: 'STORAGE_UNREACHABLE' },
  ],
  [
    /nosuchbucket/i,
    { event: 'ERROR_NOT_FOUND', source: 'SOURCE_BUCKET_NOT_FOUND', destination: 'STORAGE_BUCKET_NOT_FOUND' },
  ],
  [
    /bad_network_name|network name not found|share name cannot be found/i,
    { event: 'ERROR_NOT_FOUND', source: 'SOURCE_PATH_NOT_FOUND', destination: 'STORAGE_BUCKET_NOT_FOUND' },
  ],
  [
    /ratelimit|rate limit|too many requests|toomanyrequests|too_many_requests|slowdown|(?:^|: |error |status(?: ?code)?:? ?)429\b/i,
    { event: 'ERROR_RATE_LIMIT', source: 'SOURCE_RATE_LIMITED', destination: 'STORAGE_UNREACHABLE' },
  ],
  [
    /no space left|too big for remaining disk space|insufficient_space|disk full|507 insufficient|(?:^|: )552[ -]|enospc|edquot|disk quota|not enough space/i,
    { event: 'ERROR_STORAGE_FULL', source: 'SOURCE_READ_FAILED', destination: 'STORAGE_FULL' },
  ],
  [
    /quotaexceeded|quota exceeded|storagequota|downloadquota|dailylimitexceeded|userratelimitexceeded/i,
    { event: 'ERROR_QUOTA', source: 'SOURCE_QUOTA_EXCEEDED', destination: 'STORAGE_FULL' },
  ],
  [
    /accessdenied|access denied|permission denied|forbidden|status_access_denied|insufficientfilepermissions|(?:^|: )550 (?:failed to open|permission)|no_permission|(?:^|: |error |status(?: ?code)?:? ?)403\b/i,
    { event: 'ERROR_PERMISSION', source: 'SOURCE_PERMISSION', destination: 'STORAGE_PERMISSION' },
  ],
  [
    /directory not found|object not found|file not found|no such file|not_found|path\/not_found|404 not found|(?:^|: )550[ -]/i,
    { event: 'ERROR_NOT_FOUND', source: 'SOURCE_PATH_NOT_FOUND', destination: 'STORAGE_FAILED' },
  ],
  [
    /no such host|server misbehaving|temporary failure in name resolution/i,
    { event: 'ERROR_NETWORK', source: 'SOURCE_HOST_UNKNOWN', destination: 'STORAGE_UNREACHABLE' },
  ],
  [
    /connection refused/i,
    { event: 'ERROR_NETWORK', source: 'SOURCE_CONNECTION_REFUSED', destination: 'STORAGE_UNREACHABLE' },
  ],
  [
    /i\/o timeout|deadline exceeded|timed out|timeout awaiting|handshake timeout/i,
    { event: 'ERROR_NETWORK', source: 'SOURCE_TIMEOUT', destination: 'STORAGE_UNREACHABLE' },
  ],
  [
    /connection reset|broken pipe|unexpected eof|\beof\b|connection lost|network is unreachable|no route to host|use of closed network|ssh: disconnect|handshake failed/i,
    { event: 'ERROR_NETWORK', source: 'SOURCE_LOST', destination: 'STORAGE_UNREACHABLE' },
  ],
];

const unknown: Classified = { event: 'ERROR_INTERNAL', source: 'SYNC_FAILED', destination: 'SYNC_FAILED' };

/**
 * What rclone's words mean.
 * @param item the path of what they are about, which is not read as if rclone had said it.
 */
export function classify(words: string, item?: string): Classified {
  const told = plainWords(words, item);
  return rules.find(([pattern]) => pattern.test(told))?.[1] ?? unknown;
}

/** What customers see as the `code` of the event of a run that ended with this error. */
export function eventCodeOf(code: ErrorCode): SyncEventCode {
  return (
    byCode(code) ??
    rules.find(([, { source, destination }]) => source === code || destination === code)?.[1].event ??
    'ERROR_INTERNAL'
  );
}

/** Of codes that no words are classified as, or words of several kinds. */
function byCode(code: ErrorCode): SyncEventCode | null {
  switch (code) {
    case 'SOURCE_READ_FAILED':
    case 'STORAGE_FAILED':
      return 'ERROR_INTERNAL';
    case 'SOURCE_UNREACHABLE':
    case 'SOURCE_PROTOCOL':
    case 'SOURCE_REDIRECT_REFUSED':
    case 'STORAGE_REDIRECT_REFUSED':
    case 'STORAGE_TLS_FAILED':
    case 'SYNC_STALLED':
      return 'ERROR_NETWORK';
    case 'SOURCE_KEY_INVALID':
    case 'ERR_DECRYPT_SOURCE_CONFIG':
    case 'ERR_DECRYPT_DEST_ACCESS_KEY':
    case 'ERR_DECRYPT_DEST_SECRET_KEY':
    case 'ERR_DECRYPT_CRYPT_KEY':
    case 'ERR_GDRIVE_NO_CLIENT_CREDENTIALS':
    case 'ERR_GDRIVE_REFRESH_PRECHECK':
    case 'ERR_GDRIVE_NO_REFRESH_TOKEN':
      return 'ERROR_AUTH';
    case 'SOURCE_ADDRESS_FORBIDDEN':
      return 'ERROR_PERMISSION';
    default:
      return null;
  }
}

/** Which end rclone says that it is about; null where it leaves that open. */
export function endOf(words: string, item?: string): 'source' | 'destination' | null {
  const told = plainWords(words, item);
  return ends.find(([pattern]) => pattern.test(told))?.[1] ?? null;
}

const ends: readonly (readonly [RegExp, 'source' | 'destination'])[] = [
  [/open source object|error reading source|read source|source file is being updated|stat source/i, 'source'],
  // On a disk; the destination's are listed before and after, and then it is the listing that fails.
  [/failed to open directory|info about directory entry/i, 'source'],
  [/downloadquota|dailylimit|userratelimit/i, 'source'],
  [
    /reading destination|multipart upload|failed to upload|update stor|make directory|mkdir|couldn't delete/i,
    'destination',
  ],
  [/quotaexceeded|quota exceeded|storagequota/i, 'destination'],
];

/** Nothing but this one item is wrong: others may go on. */
export function isItemError({ event }: Classified): boolean {
  return event === 'ERROR_PERMISSION' || event === 'ERROR_NOT_FOUND' || event === 'ERROR_INTERNAL';
}
