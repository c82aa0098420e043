import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { Connector, SourceProbe, SourceSession } from '../connector.ts';
import type { SshClient } from '../ssh/client.ts';
import type { DumpPlan } from './dump-source.ts';
import { databaseSession } from './session.ts';

const probedNames = 100;

interface Reached {
  readonly ssh: SshClient | null;
  close(): Promise<void>;
}
interface Looked {
  /** Those that are asked for. */
  readonly databases: readonly { readonly name: string; readonly estimatedBytes: number }[];
}

/** What is one kind of database server's own. */
export interface DatabaseKind<Target, Reach, Found> {
  /** Throws SOURCE_…, SSH_…. */
  reach(target: Target, secret: DatabaseSecret, acceptUnknown: boolean, signal: AbortSignal): Promise<Reach>;
  /** Everything that can be wrong is found out here, before the first byte of a dump. */
  lookUp(reach: Reach, target: Target, signal: AbortSignal): Promise<Found>;
  plan(reach: Reach, target: Target, found: Found): Omit<DumpPlan, 'mayVanish'>;
  /** What the server calls itself. */
  server(found: Found): string;
  facts(reach: Reach, found: Found): Readonly<Record<string, string | number | boolean | null>>;
}

/** A server's databases as a source. */
export function createDatabaseConnector<
  Target extends { readonly databases: readonly string[] | null },
  Reach extends Reached,
  Found extends Looked,
>(kind: DatabaseKind<Target, Reach, Found>): Connector<Target, DatabaseSecret> {
  return {
    async connect(target, secret, signal): Promise<SourceSession> {
      const reach = await kind.reach(target, secret, false, signal);
      try {
        const found = await kind.lookUp(reach, target, signal);
        return databaseSession({
          plan: { ...kind.plan(reach, target, found), mayVanish: target.databases === null },
          facts: kind.facts(reach, found),
          ssh: reach.ssh,
          close: () => reach.close(),
        });
      } catch (error) {
        await reach.close();
        throw error;
      }
    },
    async probe(target, secret, signal): Promise<SourceProbe> {
      const reach = await kind.reach(target, secret, true, signal);
      try {
        const askedAt = performance.now();
        const found = await kind.lookUp(reach, target, signal);
        const { databases } = found;
        return {
          hostKey: reach.ssh?.fingerprint ?? null,
          server: kind.server(found),
          entryNames: databases.slice(0, probedNames).map(({ name }) => name),
          latencyMs: performance.now() - askedAt,
          measure: {
            fileCount: databases.length,
            totalBytes: databases.reduce((sum, { estimatedBytes }) => sum + estimatedBytes, 0),
            complete: true,
          },
          details: kind.facts(reach, found),
        };
      } finally {
        await reach.close();
      }
    },
  };
}
