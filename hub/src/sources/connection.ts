import {
  localConfig,
  type SourceConnection,
  type SourceType,
  sftpConfig,
  sourceConnection,
} from '@xvault/shared/sources.ts';
import type { z } from 'zod';
import type { SourceRow } from './sources.repository.ts';

/** What a run's spec carries of a source: everything but the secret. */
export function toConnection({ type, config, host_key }: SourceRow): SourceConnection {
  return sourceConnection.parse(type === 'local' ? { type, config } : { type, config, host_key });
}

/** `host:port`, by which runs on one server are counted; null when no server is reached. */
export function sourceHost(connection: SourceConnection): string | null {
  if (connection.type === 'local') return null;
  return `${connection.config.host.toLowerCase()}:${connection.config.port}`;
}

export const configSchemas = { local: localConfig, sftp: sftpConfig } as const satisfies Record<SourceType, z.ZodType>;
