import { pinsHostKey, type SourceConnection, sourceConnection, sourceTypes } from '@xvault/shared/sources.ts';
import type { SourceRow } from './sources.repository.ts';

export { sourceHost } from '@xvault/shared/sources.ts';

/** What a run's spec carries of a source: everything but the secret. */
export function toConnection({
  type: name,
  config,
  host_key,
}: Pick<SourceRow, 'type' | 'config' | 'host_key'>): SourceConnection {
  const type = sourceTypes.find((known) => known === name);
  return sourceConnection.parse(
    type !== undefined && pinsHostKey[type] ? { type, config, host_key } : { type: name, config },
  );
}
