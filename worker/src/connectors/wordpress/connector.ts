import type { SftpSecret, WordpressConfig } from '@xvault/shared/sources.ts';
import type { Connector, SourceProbe, SourceSession } from '../connector.ts';
import { choose } from '../database/choose.ts';
import { remoteTools } from '../database/remote-tools.ts';
import { type DatabaseConnectorOptions, defaultStallMs } from '../database/ssh-way.ts';
import { createFilter } from '../filter/filter.ts';
import { listDatabases, serverVersion } from '../mysql/discover.ts';
import { clientNames, dumperNames, dumpUnit } from '../mysql/dump.ts';
import { farSql } from '../mysql/far-sql.ts';
import { demandPrivileges, lackingPrivileges } from '../mysql/grants.ts';
import { flavorOf, optionFile } from '../mysql/option-file.ts';
import { type Sql, sqlName } from '../mysql/sql.ts';
import { connectSsh, defaultSshTimeouts, type SshClient } from '../ssh/client.ts';
import { createSshConnector } from '../ssh/connector.ts';
import { parseDbHost } from './db-host.ts';
import { wordpressExcludes } from './excludes.ts';
import { findWordpress, type WordpressInstall } from './install.ts';
import { wordpressSession } from './session.ts';

export type WordpressTarget = WordpressConfig & { readonly host_key: string | null };

/** What a site may do without: WordPress makes neither triggers nor events. */
const dispensable = new Set(['TRIGGER', 'EVENT']);

/** WordPress sites over SSH: the database through the far side's dumper, the files beside it. */
export function createWordpressConnector(options: DatabaseConnectorOptions): Connector<WordpressTarget, SftpSecret> {
  const { guard, stallMs = defaultStallMs } = options;
  const ssh = createSshConnector({ guard });
  const logIn = (target: WordpressTarget, secret: SftpSecret, acceptUnknown: boolean, signal: AbortSignal) => {
    const hostKey = { pinned: target.host_key, acceptUnknown };
    return connectSsh(guard, { config: target, secret, hostKey }, defaultSshTimeouts, signal);
  };
  const filesOf = ({ exclude_caches: _, ...target }: WordpressTarget) => target;

  return {
    async connect(target, secret, signal): Promise<SourceSession> {
      const client = await logIn(target, secret, false, signal);
      let files: SourceSession | undefined;
      try {
        const site = await lookUp(client, target.path, signal);
        files = await ssh.connect(filesOf(target), secret, signal);
        const opened = files;
        const { configOutside } = site.install;
        const without = target.exclude_caches ? createFilter({ include: [], exclude: wordpressExcludes }) : null;
        const dumper = { ...site.dumper, stallMs };
        return wordpressSession({
          files,
          plan: {
            units: [dumpUnit(dumper, site.database, site.leftOut)],
            mayVanish: false,
            extra: configOutside === null ? null : { path: 'wp-config.php', content: async () => configOutside },
          },
          without,
          facts: site.facts,
          async close() {
            await opened.close();
            await client.close();
          },
        });
      } catch (error) {
        await files?.close();
        await client.close();
        throw error;
      }
    },
    async probe(target, secret, signal): Promise<SourceProbe> {
      const client = await logIn(target, secret, true, signal);
      try {
        const site = await lookUp(client, target.path, signal);
        const found = await ssh.probe(filesOf({ ...target, host_key: client.fingerprint }), secret, signal);
        return { ...found, details: { ...found.details, ...site.facts } };
      } finally {
        await client.close();
      }
    },
  };
}

/** Everything that can be wrong with the site is found out here. */
async function lookUp(client: SshClient, path: string, signal: AbortSignal) {
  const install = await findWordpress(client, path, signal);
  const { name, user, password, host } = install.database;
  const tools = remoteTools(client);
  const [program, dumper] = [await tools.find(clientNames, signal), await tools.find(dumperNames, signal)];
  const options = optionFile({ user, password, place: parseDbHost(host), tls: [] });
  const sql = farSql(tools, program.program, options, null, signal);
  const version = await serverVersion(sql);
  const [database] = choose(await listDatabases(sql), { databases: [name], exclude_databases: [] });
  if (database === undefined) throw new Error('one database was chosen');
  const grants = (await sql.rows('SHOW GRANTS')).map(([line]) => line ?? '');
  const lacking = lackingPrivileges(grants, name);
  if (!lacking.every((privilege) => dispensable.has(privilege))) demandPrivileges(grants, [name]);
  return {
    install,
    database,
    leftOut: { triggers: lacking.includes('TRIGGER'), events: lacking.includes('EVENT') },
    dumper: {
      reach: { host: tools, withSql: <T>(ask: (given: Sql) => Promise<T>) => ask(sql) },
      tool: dumper,
      serverVersion: version,
      files: [options],
    },
    facts: {
      engine: 'wordpress',
      wordpress_version: install.wordpressVersion,
      php_version: install.phpVersion,
      table_prefix: install.tablePrefix,
      site_url: install.siteUrl ?? (await siteUrl(sql, install)),
      multisite: install.multisite,
      database: name,
      database_server: version,
      database_tool: dumper.versionText,
      database_flavor: flavorOf(dumper.versionText),
      /** Not in the dump, since the site's user may not read them. */
      database_without: lacking.length === 0 ? null : lacking.join(', '),
      config_read_by: install.readBy,
      config_outside_of_path: install.configOutside !== null,
    },
  };
}

async function siteUrl(sql: Sql, { database, tablePrefix }: WordpressInstall): Promise<string | null> {
  const table = `${sqlName(database.name)}.${sqlName(`${tablePrefix}options`)}`;
  const rows = await sql.rows(`SELECT option_value FROM ${table} WHERE option_name = 'siteurl'`);
  return rows[0]?.[0] ?? null;
}
