import { join } from 'node:path';
import type { DestinationConnection } from '@xvault/shared/destinations.ts';
import { XVaultError } from '@xvault/shared/errors.ts';
import { isWithin, type SourceConnection } from '@xvault/shared/sources.ts';

/** Throws SYNC_OVERLAP when one lies within the other: each run would then copy what the one before it made. */
export function requireApart(
  source: SourceConnection,
  destination: DestinationConnection,
  prefix: string,
  storageDir: string,
): void {
  const from = placeOfSource(source);
  const to = placeOfDestination(destination, prefix, storageDir);
  if (from === null || to === null || from.where !== to.where) return;
  if (isWithin(from.path, to.path) || isWithin(to.path, from.path)) {
    throw new XVaultError('SYNC_OVERLAP', { detail: `${from.where}: ${from.path} and ${to.path}` });
  }
}

/** What can be told apart by its name; a path always begins with a slash. */
interface Place {
  readonly where: string;
  readonly path: string;
}

function placeOfSource(source: SourceConnection): Place | null {
  if (source.type === 'local') return { where: 'local', path: source.config.path };
  if (source.type === 'sftp' || source.type === 'ssh') return placeOfServer(source.config, source.config.path);
  return source.type === 's3' ? placeOfBucket(source.config) : null;
}

function placeOfDestination(destination: DestinationConnection, prefix: string, storageDir: string): Place | null {
  if (destination.type === 'local_fs') return { where: 'local', path: join(storageDir, prefix) };
  if (destination.type === 'sftp') {
    return placeOfServer(destination.config, join(destination.config.path, prefix));
  }
  if (destination.type !== 's3') return null;
  const { config } = destination;
  return placeOfBucket({ ...config, prefix: join(config.prefix, prefix) });
}

function placeOfServer({ host, port }: { host: string; port: number }, path: string): Place {
  return { where: `sftp ${host.toLowerCase()}:${port}`, path };
}

function placeOfBucket(config: { endpoint: string | null; bucket: string; prefix: string }): Place {
  const host = config.endpoint === null ? 'aws' : new URL(config.endpoint).host;
  return { where: `s3 ${host}`, path: join('/', config.bucket, config.prefix).replace(/(?<=.)\/+$/, '') };
}
