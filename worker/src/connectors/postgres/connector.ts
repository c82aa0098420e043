import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { Connector, SourceProbe, SourceSession } from '../connector.ts';
import { choose } from '../database/choose.ts';
import { databaseSession } from '../database/session.ts';
import { type DatabaseConnectorOptions, defaultStallMs } from '../database/ssh-way.ts';
import { listDatabases, serverFacts } from './discover.ts';
import { dumpGlobals, dumpUnit } from './dump.ts';
import { type PostgresReach, type PostgresTarget, reachPostgres } from './reach.ts';

const probedNames = 100;
const globalsFile = 'globals.sql';

/** PostgreSQL servers, each database as an archive of pg_dump. */
export function createPostgresConnector(options: DatabaseConnectorOptions): Connector<PostgresTarget, DatabaseSecret> {
  const { guard, stallMs = defaultStallMs } = options;
  return {
    async connect(target, secret, signal): Promise<SourceSession> {
      const reach = await reachPostgres(guard, target, secret, false, signal);
      try {
        const found = await lookUp(reach, target);
        const { dumpall } = found;
        const dumper = { reach, tool: found.tool, serverVersion: found.server.version, stallMs };
        const globals = (until: AbortSignal, tool: NonNullable<typeof dumpall>) =>
          dumpGlobals(dumper, tool, target.maintenance_database, until);
        return databaseSession({
          plan: {
            units: found.databases.map((database) => dumpUnit(dumper, database)),
            mayVanish: target.databases === null,
            extra:
              dumpall === null ? null : { path: globalsFile, content: (until: AbortSignal) => globals(until, dumpall) },
          },
          facts: factsOf(found),
          ssh: reach.ssh,
          close: () => reach.close(),
        });
      } catch (error) {
        await reach.close();
        throw error;
      }
    },
    async probe(target, secret, signal): Promise<SourceProbe> {
      const reach = await reachPostgres(guard, target, secret, true, signal);
      try {
        const askedAt = performance.now();
        const found = await lookUp(reach, target);
        return {
          hostKey: reach.ssh?.fingerprint ?? null,
          server: `PostgreSQL ${found.server.version}`,
          entryNames: found.databases.slice(0, probedNames).map(({ name }) => name),
          latencyMs: performance.now() - askedAt,
          measure: {
            fileCount: found.databases.length,
            totalBytes: found.databases.reduce((sum, { estimatedBytes }) => sum + estimatedBytes, 0),
            complete: true,
          },
          details: factsOf(found),
        };
      } finally {
        await reach.close();
      }
    },
  };
}

type Found = Awaited<ReturnType<typeof lookUp>>;

/** Everything that can be wrong is found out here, before the first byte of a dump. */
async function lookUp(reach: PostgresReach, target: PostgresTarget) {
  const sql = await reach.openSql(target.maintenance_database);
  try {
    const server = await serverFacts(sql);
    const databases = choose(await listDatabases(sql), target);
    const tool = await reach.tool('pg_dump', server.major);
    const dumpall = target.globals ? await reach.tool('pg_dumpall', server.major) : null;
    return { server, databases, tool, dumpall };
  } finally {
    await sql.close();
  }
}

function factsOf({ server, databases, tool }: Found) {
  return {
    engine: 'postgres',
    server_version: server.version,
    tool_version: tool.versionText,
    databases: databases.length,
    standby: server.standby,
  };
}
