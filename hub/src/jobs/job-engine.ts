import { seal } from '@xvault/shared/sealing.ts';
import type { CryptSecret, SyncOptions } from '@xvault/shared/sync-options.ts';
import { syncOptions } from '@xvault/shared/sync-options.ts';
import { syncPatternFaults } from '@xvault/shared/sync-patterns.ts';
import { randomToken } from '@xvault/shared/tokens.ts';
import { InvalidRequest, invalidField } from '../http/problem.ts';
import type { JobRow } from './jobs.repository.ts';
import type { CreateJob } from './jobs.schema.ts';

const syncSources = ['local', 'sftp', 'ssh', 'ftp', 's3', 'webdav', 'smb', 'google_drive', 'dropbox'];
const syncDestinations = ['local_fs', 's3', 'platform_s3', 'sftp'];
const archiveDestinations = ['local_fs', 's3', 'platform_s3'];

/** Throws BAD_REQUEST when the engine cannot read the source, write the destination, or take the options. */
export function requireEngineFits(
  { engine, sync, crypt }: Pick<CreateJob, 'engine' | 'sync' | 'crypt'>,
  sourceType: string,
  destinationType: string,
): void {
  if (engine === 'archive') {
    if (sync !== undefined) throw invalidField('sync', 'is of the sync engine');
    if (crypt !== undefined) throw invalidField('crypt', 'is of the sync engine');
    if (!archiveDestinations.includes(destinationType)) {
      throw invalidField('destination_id', 'the archive engine cannot write to this type of destination');
    }
    return;
  }
  if (sync === undefined) throw invalidField('sync', 'the sync engine needs its options');
  requireGoodPatterns(sync);
  if (crypt !== undefined && !sync.encryption) throw invalidField('crypt', 'is for encryption alone');
  if (!syncSources.includes(sourceType)) {
    throw invalidField('source_id', 'the sync engine cannot read this type of source');
  }
  if (!syncDestinations.includes(destinationType)) {
    throw invalidField('destination_id', 'the sync engine cannot write to this type of destination');
  }
}

function requireGoodPatterns(sync: SyncOptions): void {
  const faults = syncPatternFaults(sync);
  if (faults.length === 0) return;
  throw new InvalidRequest(faults.map(({ path, message }) => ({ path: `sync.${path}`, message })));
}

/** Throws BAD_REQUEST for bad patterns, and for a change that would make what is at the destination unreadable or another job's. */
export function requireSameSync(before: JobRow, sync: SyncOptions): void {
  if (before.engine !== 'sync' || before.sync === null) throw invalidField('sync', 'is of the sync engine');
  requireGoodPatterns(sync);
  const { encryption, mode } = syncOptions.parse(before.sync);
  if (sync.encryption !== encryption) throw invalidField('sync.encryption', 'cannot be changed: make another job');
  if ((sync.mode === 'mirror') !== (mode === 'mirror')) {
    throw invalidField('sync.mode', 'cannot be changed to or from mirror: make another job');
  }
}

/** What a worker needs for the job's crypt, sealed; null when there is none. */
export async function sealCrypt(
  sync: SyncOptions | undefined,
  given: CryptSecret | undefined,
  credentialsRecipient: string,
): Promise<string | null> {
  if (sync === undefined || !sync.encryption) return null;
  const secret: CryptSecret = given ?? { password: randomToken(), salt: randomToken() };
  return seal(JSON.stringify(secret), credentialsRecipient);
}
