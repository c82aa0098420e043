import { opendir } from 'node:fs/promises';
import { pathToText } from '../../artifact/path-text.ts';
import type { Connector, SourceProbe } from '../connector.ts';
import { anchored } from './deep-path.ts';
import { followRoots } from './follow-roots.ts';
import { type OpenedRoot, openRoot } from './open-root.ts';
import { localSession } from './session.ts';

export interface LocalTarget {
  readonly path: string;
}

export interface LocalConnectorOptions {
  /** Directories that the operator opens for backups of this machine; none means that nothing may be read. */
  readonly allowedRoots: readonly string[];
}

const probedNames = 100;

/** Sources on the worker's own disks. */
export function createLocalConnector({ allowedRoots }: LocalConnectorOptions): Connector<LocalTarget, object> {
  return {
    async connect({ path }, _secret, signal) {
      signal.throwIfAborted();
      const root = await openRoot(path, allowedRoots);
      return localSession(root.handle, (asked) => followRoots(root.path, asked, allowedRoots));
    },
    async probe({ path }, _secret, signal): Promise<SourceProbe> {
      signal.throwIfAborted();
      const startedAt = performance.now();
      const root = await openRoot(path, allowedRoots);
      try {
        const latencyMs = performance.now() - startedAt;
        return { hostKey: null, server: null, entryNames: await firstNames(root), latencyMs };
      } finally {
        await root.handle.close();
      }
    },
  };
}

async function firstNames({ handle }: OpenedRoot): Promise<string[]> {
  const names: string[] = [];
  const place = anchored(handle.fd).toString();
  // `latin1` keeps each byte of a name as one character.
  for await (const { name } of await opendir(place, { encoding: 'latin1' })) {
    names.push(pathToText(Buffer.from(name, 'latin1')));
    if (names.length >= probedNames) break;
  }
  return names.sort();
}
