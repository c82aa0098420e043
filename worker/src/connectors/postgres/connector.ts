import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { Connector } from '../connector.ts';
import { choose } from '../database/choose.ts';
import { createDatabaseConnector } from '../database/connector.ts';
import { type DatabaseConnectorOptions, defaultStallMs } from '../database/ssh-way.ts';
import { listDatabases, serverFacts } from './discover.ts';
import { dumpGlobals, dumpUnit } from './dump.ts';
import { type PostgresReach, type PostgresTarget, reachPostgres } from './reach.ts';

const globalsFile = 'globals.sql';

/** PostgreSQL servers, each database as an archive of pg_dump. */
export function createPostgresConnector(options: DatabaseConnectorOptions): Connector<PostgresTarget, DatabaseSecret> {
  const { guard, stallMs = defaultStallMs } = options;
  return createDatabaseConnector<PostgresTarget, PostgresReach, Found>({
    reach: (target, secret, acceptUnknown, signal) => reachPostgres(guard, target, secret, acceptUnknown, signal),
    lookUp,
    plan(reach, target, { tool, server, databases, dumpall }) {
      const dumper = { reach, tool, serverVersion: server.version, stallMs };
      const globals = dumpall && {
        path: globalsFile,
        content: (until: AbortSignal) => dumpGlobals(dumper, dumpall, target.maintenance_database, until),
      };
      return { units: databases.map((database) => dumpUnit(dumper, database)), extra: globals };
    },
    server: ({ server }) => `PostgreSQL ${server.version}`,
    facts: (_, found) => factsOf(found),
  });
}

type Found = Awaited<ReturnType<typeof lookUp>>;

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
