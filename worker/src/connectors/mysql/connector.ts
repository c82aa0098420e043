import type { DatabaseSecret } from '@xvault/shared/sources.ts';
import type { Connector } from '../connector.ts';
import { choose } from '../database/choose.ts';
import { createDatabaseConnector } from '../database/connector.ts';
import { type DatabaseConnectorOptions, defaultStallMs } from '../database/ssh-way.ts';
import { listDatabases, serverVersion } from './discover.ts';
import { dumperNames, dumpUnit } from './dump.ts';
import { demandPrivileges } from './grants.ts';
import { flavorOf } from './option-file.ts';
import { type MysqlReach, type MysqlTarget, reachMysql } from './reach.ts';

/** MySQL and MariaDB servers, each database as SQL. */
export function createMysqlConnector(options: DatabaseConnectorOptions): Connector<MysqlTarget, DatabaseSecret> {
  const { guard, stallMs = defaultStallMs } = options;
  return createDatabaseConnector<MysqlTarget, MysqlReach, Found>({
    reach: (target, secret, acceptUnknown, signal) => reachMysql(guard, target, secret, acceptUnknown, signal),
    lookUp,
    plan(reach, _, { tool, version, databases }) {
      const files = reach.files(flavorOf(tool.versionText));
      const dumper = { reach, tool, serverVersion: version, files, stallMs };
      return { units: databases.map((database) => dumpUnit(dumper, database)), extra: null };
    },
    server: ({ version }) => version,
    facts: factsOf,
  });
}

type Found = Awaited<ReturnType<typeof lookUp>>;

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
