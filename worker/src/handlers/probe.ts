import { assertNever } from '@xvault/shared/errors.ts';
import type { ResultInput } from '@xvault/shared/run-kinds.ts';
import { openIndex } from '../artifact/artifact-reader.ts';
import type { SourceProbe } from '../connectors/connector.ts';
import { listFiles } from '../engines/archive/files.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { accessSnapshot } from './open-snapshot.ts';
import { probeDestination } from './probe-destination.ts';
import { listSyncFiles } from './sync-files.ts';

/** Short questions: does this source answer, and what is in this snapshot. */
export async function handleProbe(context: RunContext<'probe'>, deps: HandlerDeps): Promise<ResultInput<'probe'>> {
  const { start, signal } = context;
  const { probe } = context.spec;
  switch (probe.type) {
    case 'source': {
      const found = await deps.sources.probe(probe.source, start.source_secret_sealed, signal, context);
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
      if (probe.snapshot.engine === 'sync') return listSyncFiles(context, probe, deps);
      const { snapshot, path, recursive, search, offset, limit } = probe;
      const index = await openIndex({
        ...(await accessSnapshot(start, snapshot, deps, signal)),
        expected: { artifactBytes: snapshot.artifact_bytes, indexBytes: snapshot.index_bytes },
      });
      try {
        const { frames } = index;
        const known = { frames, indexSha256: snapshot.index_sha256, cache: deps.browseCache };
        const page = await listFiles({ ...known, path, recursive, search, offset, limit, signal });
        return { kind: 'probe', probe: { type: 'files', entries: page.entries, next_offset: page.nextOffset } };
      } finally {
        await index.close();
      }
    }
    case 'browse': {
      const { type, source, source_id: _, ...request } = probe;
      const found = await deps.sources.browse(source, start.source_secret_sealed, signal, context, request);
      return { kind: 'probe', probe: { type, ...found } };
    }
    case 'destination':
      return probeDestination(context, probe, deps);
    default:
      return assertNever(probe);
  }
}

function measureOf({ measure }: SourceProbe) {
  if (measure === undefined) return null;
  return { file_count: measure.fileCount, total_bytes: measure.totalBytes, complete: measure.complete };
}
