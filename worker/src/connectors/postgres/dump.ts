import { XVaultError } from '@xvault/shared/errors.ts';
import type { DumpUnit } from '../database/dump-source.ts';
import { partBytes } from '../database/entry-names.ts';
import type { PartBuffers } from '../database/part-buffers.ts';
import { type Part, readParts, readTool } from '../database/read-tool.ts';
import type { FoundTool } from '../database/tool-host.ts';
import { conninfo } from './conninfo.ts';
import type { FoundDatabase } from './discover.ts';
import { toolError } from './errors.ts';
import type { PostgresReach } from './reach.ts';

/** Not compressed by the tool: ours compresses better, and by parts. */
const flags = ['--no-password', '--format=custom', '--compress=0', '--no-owner'];
const globalsFlags = ['--no-password', '--globals-only', '--no-role-passwords'];
/** Of the archive's own beginning. */
const archiveMagic = Buffer.from('PGDMP');
const globalsLimitBytes = 64 * 1024 * 1024;

export interface PostgresDumper {
  readonly reach: PostgresReach;
  readonly tool: FoundTool;
  readonly serverVersion: string;
  readonly stallMs: number;
}

export function dumpUnit(dumper: PostgresDumper, database: FoundDatabase): DumpUnit {
  return {
    description: {
      format: 'xvault-database',
      format_version: 1,
      name: database.name,
      engine: 'postgres',
      server_version: dumper.serverVersion,
      tool: 'pg_dump',
      tool_version: dumper.tool.versionText,
      flags,
      character_set: database.encoding,
      collation: database.collation,
      dump: { file: 'dump.pgc', format: 'pg_custom', part_bytes: partBytes },
      estimated_bytes: database.estimatedBytes,
    },
    dump: (buffers, signal) => dump(dumper, database.name, buffers, signal),
  };
}

async function* dump(
  { reach, tool, stallMs }: PostgresDumper,
  database: string,
  buffers: PartBuffers,
  signal: AbortSignal,
): AsyncGenerator<Part> {
  const running = await reach.host.start({
    program: tool.program,
    files: reach.files,
    env: reach.env,
    args: () => [...flags, `--dbname=${conninfo(database)}`],
    stdin: 'ignore',
    isBulk: true,
    signal,
  });
  let isArchive: boolean | undefined;
  const failure = (outcome: Parameters<typeof toolError>[0]) => toolError(outcome, 'DATABASE_DUMP_FAILED');
  for await (const part of readParts(running, { stallMs, signal, failure }, buffers)) {
    isArchive ??= part.data.subarray(0, archiveMagic.length).equals(archiveMagic);
    yield part;
  }
  if (isArchive === true) return;
  throw new XVaultError('DATABASE_DUMP_FAILED', { detail: 'what pg_dump wrote is no archive of pg_dump' });
}

/** Roles and tablespaces as SQL, without passwords: those need a superuser and belong in no backup of ours. */
export async function dumpGlobals(
  { reach, stallMs }: PostgresDumper,
  dumpall: FoundTool,
  database: string,
  signal: AbortSignal,
): Promise<Buffer> {
  const running = await reach.host.start({
    program: dumpall.program,
    files: reach.files,
    env: reach.env,
    args: () => [...globalsFlags, `--dbname=${conninfo(database)}`],
    stdin: 'ignore',
    signal,
  });
  const failure = (outcome: Parameters<typeof toolError>[0]) => toolError(outcome, 'DATABASE_DUMP_FAILED');
  const isComplete = (tail: Buffer) => /PostgreSQL database cluster dump complete/.test(tail.toString('latin1'));
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of readTool(running, { stallMs, signal, failure, isComplete })) {
    pieces.push(piece);
    length += piece.length;
    if (length > globalsLimitBytes)
      throw new XVaultError('DATABASE_DUMP_FAILED', { detail: 'the globals are too large' });
  }
  return Buffer.concat(pieces);
}
