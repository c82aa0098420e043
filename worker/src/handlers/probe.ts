import { assertNever } from '@xvault/shared/errors.ts';
import type { ResultOf } from '@xvault/shared/run-kinds.ts';
import { listFiles } from '../engines/archive/files.ts';
import type { HandlerDeps } from './deps.ts';
import type { RunContext } from './handler.ts';
import { openSnapshot } from './open-snapshot.ts';

/** Short questions: does this source answer, and what is in this snapshot. */
export async function handleProbe(context: RunContext<'probe'>, deps: HandlerDeps): Promise<ResultOf<'probe'>> {
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
    default:
      return assertNever(probe);
  }
}
