import { XVaultError } from '@xvault/shared/errors.ts';
import type { DumpUnit } from '../database/dump-source.ts';
import { partBytes } from '../database/entry-names.ts';
import { cutParts, type HeadCut, type PartBuffers } from '../database/part-buffers.ts';
import { type Part, type ReadToolOptions, readParts } from '../database/read-tool.ts';
import type { FoundTool } from '../database/tool-host.ts';
import type { FoundDatabase } from './discover.ts';
import { toolError } from './errors.ts';
import { flavorOf, type ToolFlavor } from './option-file.ts';
import type { MysqlReach } from './reach.ts';
import { sqlText } from './sql.ts';
import { dumpStoredCode } from './stored-code.ts';

/** The new name first: MariaDB's old one says on every run that it is old. */
export const dumperNames = ['mariadb-dump', 'mysqldump'];
export const clientNames = ['mariadb', 'mysql'];

/** No CREATE DATABASE and no USE in it, so that it restores under any name. */
const commonFlags = [
  '--single-transaction',
  '--quick',
  '--skip-lock-tables',
  '--hex-blob',
  '--no-tablespaces',
  '--skip-dump-date',
  '--default-character-set=utf8mb4',
  '--max-allowed-packet=1G',
];
const codeFlags = ['--routines', '--events'];

/** What the user may not read, and so is left out knowingly. */
export interface LeftOut {
  readonly triggers: boolean;
  readonly events: boolean;
}
const nothingLeftOut: LeftOut = { triggers: false, events: false };
const flagsByFlavor: Record<ToolFlavor, readonly string[]> = {
  mariadb: [],
  mysql: ['--set-gtid-purged=OFF', '--loose-column-statistics=0'],
};

const closingLine = /\n-- Dump completed[^\n]*\n*$/;

export interface MysqlDumper {
  readonly reach: Pick<MysqlReach, 'host' | 'withSql'>;
  readonly tool: FoundTool;
  readonly serverVersion: string;
  /** The option file, and the certificates that it names. */
  readonly files: readonly string[];
  readonly stallMs: number;
}

export function dumpUnit(dumper: MysqlDumper, database: FoundDatabase, without = nothingLeftOut): DumpUnit {
  const flavor = flavorOf(dumper.tool.versionText);
  const ours = codeIsOurs(database.name);
  const code = ours ? [] : codeFlags.filter((flag) => flag !== '--events' || !without.events);
  const flags = [
    ...commonFlags,
    without.triggers ? '--skip-triggers' : '--triggers',
    ...code,
    ...flagsByFlavor[flavor],
  ];
  return {
    description: {
      format: 'xvault-database',
      format_version: 1,
      name: database.name,
      engine: /mariadb/i.test(dumper.serverVersion) ? 'mariadb' : 'mysql',
      server_version: dumper.serverVersion,
      tool: flavor === 'mariadb' ? 'mariadb-dump' : 'mysqldump',
      tool_version: dumper.tool.versionText,
      flags,
      character_set: database.characterSet,
      collation: database.collation,
      dump: { file: 'dump.sql', format: 'sql', part_bytes: partBytes },
      estimated_bytes: database.estimatedBytes,
    },
    dump: (buffers, signal) => dump(dumper, flags, database, buffers, signal),
  };
}

/**
 * The dumpers look for the routines and events of a database by its name with these characters escaped, and then do not find
 * the database itself. So of such databases that part is ours.
 */
function codeIsOurs(database: string): boolean {
  return /['"\\]/.test(database);
}

async function* dump(
  { reach, tool, files, stallMs }: MysqlDumper,
  flags: readonly string[],
  database: FoundDatabase,
  buffers: PartBuffers,
  signal: AbortSignal,
): AsyncGenerator<Part> {
  const code = codeIsOurs(database.name) ? await reach.withSql((sql) => dumpStoredCode(sql, database)) : null;
  const running = await reach.host.start({
    program: tool.program,
    files,
    args: ([options = '']) => [`--defaults-file=${options}`, ...flags, '--', database.name],
    stdin: 'ignore',
    isBulk: true,
    signal,
  });
  try {
    const options: ReadToolOptions = {
      stallMs,
      signal,
      failure: (outcome) => toolError(outcome, 'DATABASE_DUMP_FAILED'),
      isComplete: (tail) => closingLine.test(tail.toString('latin1')),
    };
    yield* readParts(running, options, buffers, sandboxLineCut);
  } catch (error) {
    throw await gone(reach, database.name, error);
  }
  if (code !== null) for await (const data of cutParts([code], buffers)) yield { data };
}

/** That a database is unknown is believed only when the server does not list it any more. */
async function gone(reach: MysqlDumper['reach'], database: string, error: unknown): Promise<unknown> {
  if (!(error instanceof XVaultError) || error.code !== 'DATABASE_NOT_FOUND') return error;
  const sql = `SELECT COUNT(*) FROM information_schema.schemata WHERE schema_name = ${sqlText(database)}`;
  const [counted] = await reach.withSql(({ rows }) => rows(sql));
  if (counted?.[0] === '0') return error;
  const detail = error.detail ?? 'the tool does not find a database that is there';
  return new XVaultError('DATABASE_DUMP_FAILED', { detail, cause: error });
}

/** MariaDB's dumper begins with a line that older clients, and all of MySQL's, take for an error. */
const sandboxLine = /^\/\*M?!999999\\- enable the sandbox mode \*\/ ?\n/;
export const sandboxLineCut: HeadCut = {
  headBytes: 128,
  lengthIn: (head) => sandboxLine.exec(head.toString('latin1'))?.[0].length ?? 0,
};
