import { assertNever, XVaultError } from '@xvault/shared/errors.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import type { SourceProbe } from '../connectors/connector.ts';
import { listFiles } from '../engines/archive/files.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { openSnapshot } from './open-snapshot.ts';

/** Short questions: does this source answer, and what is in this snapshot. */
export async function handleProbe(context: RunContext<'probe'>, deps: HandlerDeps): Promise<ResultInput<'probe'>> {
  const { start, signal } = context;
  const { probe } = context.spec;
  switch (probe.type) {
    case 'source': {
      const found = await deps.sources.probe(probe.source, start.source_secret_sealed, signal);
      return {
        kind: 'probe',
        probe: {
          type: 'source',
          host_key: found.hostKey,
          server: found.server,
          entry_names: found.entryNames,
          latency_ms: found.latencyMs,
          measure: measureOf(found),
          details: { ...found.details },
        },
      };
    }
    case 'files': {
      const reader = await openSnapshot(start, probe.snapshot, deps);
      try {
        const { path, recursive, offset, limit } = probe;
        const page = await listFiles({ reader, path, recursive, offset, limit, signal });
        return { kind: 'probe', probe: { type: 'files', entries: page.entries, next_offset: page.nextOffset } };
      } finally {
        await reader.close();
      }
    }
    case 'destination':
      throw new XVaultError('NO_CAPABLE_WORKER', { detail: 'destinations cannot be tested yet' });
    default:
      return assertNever(probe);
  }
}

function measureOf({ measure }: SourceProbe) {
  if (measure === undefined) return null;
  return { file_count: measure.fileCount, total_bytes: measure.totalBytes, complete: measure.complete };
}
