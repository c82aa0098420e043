import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { Connector, SourceProbe, SourceSession } from '../connector.ts';
import { choose } from '../database/choose.ts';
import { databaseSession } from '../database/session.ts';
import { type DatabaseConnectorOptions, defaultStallMs } from '../database/ssh-way.ts';
import { type FoundDatabase, listDatabases, serverVersion } from './discover.ts';
import { dumperNames, dumpUnit } from './dump.ts';
import { demandPrivileges } from './grants.ts';
import { flavorOf } from './option-file.ts';
import { type MysqlReach, type MysqlTarget, reachMysql } from './reach.ts';

const probedNames = 100;

/** MySQL and MariaDB servers, each database as SQL. */
export function createMysqlConnector(options: DatabaseConnectorOptions): Connector<MysqlTarget, DatabaseSecret> {
  const { guard, stallMs = defaultStallMs } = options;
  return {
    async connect(target, secret, signal): Promise<SourceSession> {
      const reach = await reachMysql(guard, target, secret, false, signal);
      try {
        const found = await lookUp(reach, target, signal);
        const dumper = {
          reach,
          tool: found.tool,
          serverVersion: found.version,
          files: reach.files(flavorOf(found.tool.versionText)),
          stallMs,
        };
        return databaseSession({
          plan: {
            units: found.databases.map((database) => dumpUnit(dumper, database)),
            mayVanish: target.databases === null,
            extra: null,
          },
          facts: factsOf(reach, found),
          ssh: reach.ssh,
          close: () => reach.close(),
        });
      } catch (error) {
        await reach.close();
        throw error;
      }
    },
    async probe(target, secret, signal): Promise<SourceProbe> {
      const reach = await reachMysql(guard, target, secret, true, signal);
      try {
        const askedAt = performance.now();
        const found = await lookUp(reach, target, signal);
        return {
          hostKey: reach.ssh?.fingerprint ?? null,
          server: found.version,
          entryNames: found.databases.slice(0, probedNames).map(({ name }) => name),
          latencyMs: performance.now() - askedAt,
          measure: { fileCount: found.databases.length, totalBytes: sizeOf(found.databases), complete: true },
          details: factsOf(reach, found),
        };
      } finally {
        await reach.close();
      }
    },
  };
}

type Found = Awaited<ReturnType<typeof lookUp>>;

/** Everything that can be wrong is found out here, before the first byte of a dump. */
async function lookUp(reach: MysqlReach, target: MysqlTarget, signal: AbortSignal) {
  const { version, databases } = await reach.withSql(async (sql) => {
    const chosen = choose(await listDatabases(sql), target);
    const grants = await sql.rows('SHOW GRANTS');
    demandPrivileges(
      grants.map(([line]) => line ?? ''),
      chosen.map(({ name }) => name),
    );
    return { version: await serverVersion(sql), databases: chosen };
  });
  const tool = await reach.host.find(dumperNames, signal);
  return { version, databases, tool };
}

function factsOf(reach: MysqlReach, { version, databases, tool }: Found) {
  const looseTables = databases.reduce((sum, database) => sum + database.looseTables, 0);
  return {
    engine: /mariadb/i.test(version) ? 'mariadb' : 'mysql',
    server_version: version,
    tool_version: tool.versionText,
    databases: databases.length,
    /** Of engines without transactions: dumped, but not in one state with the rest. */
    tables_without_transactions: looseTables,
    tls: reach.secured,
  };
}

function sizeOf(databases: readonly FoundDatabase[]): number {
  return databases.reduce((sum, { estimatedBytes }) => sum + estimatedBytes, 0);
}
