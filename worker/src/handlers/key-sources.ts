import type { StartResponse } from '@xvault/shared/internal-api.ts';
import type { SyncRequest } from './sync-run.ts';

/** What opened what, for operators: names of the worker's own settings, never values. */
const fromHub = 'XVAULT_CREDENTIALS_IDENTITY';
const ofPlatform = 'XVAULT_S3_SECRET_ACCESS_KEY';
const none = 'none';

/** Where each key of a run comes from, by the names that its diagnostics have. */
export function keySources(
  { source, destination, target, crypt }: SyncRequest,
  { connection }: Pick<StartResponse, 'connection'>,
): Readonly<Record<string, string>> {
  const sealedOr = (sealed: string | null, other: string) => (sealed === null ? other : fromHub);
  const isPlatforms = destination?.connection.type === 'platform_s3';
  return {
    ...(source && { 'encryptionKeys.source': sealedOr(source.sealed, none) }),
    ...(connection && { 'encryptionKeys.connection': fromHub }),
    ...(destination && {
      'encryptionKeys.destination': isPlatforms ? ofPlatform : sealedOr(destination.sealed, none),
      'encryptionKeys.crypt': crypt === null ? none : fromHub,
    }),
    ...(target && { 'encryptionKeys.target': sealedOr(target.sealed, none) }),
  };
}
