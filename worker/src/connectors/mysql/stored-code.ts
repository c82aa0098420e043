import { XVaultError } from '@xvault/shared/errors.ts';
import type { FoundDatabase } from './discover.ts';
import { type Sql, sqlName, sqlText } from './sql.ts';

const kinds = [
  { word: 'FUNCTION', list: 'FUNCTION STATUS WHERE Db', nameAt: 1, sqlModeAt: 1, codeAt: 2 },
  { word: 'PROCEDURE', list: 'PROCEDURE STATUS WHERE Db', nameAt: 1, sqlModeAt: 1, codeAt: 2 },
  { word: 'PACKAGE', list: 'PACKAGE STATUS WHERE Db', nameAt: 1, sqlModeAt: 1, codeAt: 2 },
  { word: 'PACKAGE BODY', list: 'PACKAGE BODY STATUS WHERE Db', nameAt: 1, sqlModeAt: 1, codeAt: 2 },
  { word: 'EVENT', list: 'EVENTS', nameAt: 1, sqlModeAt: 1, codeAt: 3 },
] as const;

/** Routines and events of one database as the dumpers write them, and their closing line. */
export async function dumpStoredCode(sql: Sql, database: FoundDatabase): Promise<Buffer> {
  const lines = ['', 'SET @xvault_sql_mode = @@sql_mode, @xvault_time_zone = @@time_zone;', 'SET NAMES utf8mb4;'];
  for (const kind of kinds) {
    for (const name of await namesOf(sql, kind, database.name))
      lines.push(...(await codeOf(sql, kind, database, name)));
  }
  lines.push('SET sql_mode = @xvault_sql_mode, time_zone = @xvault_time_zone;', '', '-- Dump completed', '');
  return Buffer.from(lines.join('\n'));
}

type Kind = (typeof kinds)[number];

async function namesOf(sql: Sql, kind: Kind, database: string): Promise<string[]> {
  const where = kind.word === 'EVENT' ? `FROM ${sqlName(database)}` : `= ${sqlText(database)}`;
  try {
    const rows = await sql.rows(`SHOW ${kind.list} ${where}`);
    return rows.map((row) => row[kind.nameAt] ?? '');
  } catch (error) {
    // Only MariaDB has packages.
    if (kind.word.startsWith('PACKAGE')) return [];
    throw error;
  }
}

async function codeOf(sql: Sql, kind: Kind, database: FoundDatabase, name: string): Promise<string[]> {
  const [row] = await sql.rows(`SHOW CREATE ${kind.word} ${sqlName(database.name)}.${sqlName(name)}`);
  const code = row?.[kind.codeAt];
  if (row === undefined || code === null || code === undefined) {
    throw new XVaultError('DATABASE_PERMISSION', {
      detail: `the code of ${kind.word} ${name} in ${JSON.stringify(database.name)} may not be read`,
      params: { database: database.name },
    });
  }
  const delimiter = delimiterFor(code);
  // Always the last three: of the client, of the connection, of the database when it was made.
  const [client = 'utf8mb4', connection = 'utf8mb4_general_ci', collation] = row.slice(-3);
  const moved = collation !== null && collation !== undefined && collation !== database.collation;
  const alter = (to: string) =>
    `ALTER DATABASE ${sqlName(database.name)} CHARACTER SET ${to.split('_', 1)[0]} COLLATE ${to};`;
  return [
    ...(moved ? [alter(collation)] : []),
    `SET character_set_client = ${client}, collation_connection = ${connection};`,
    `SET sql_mode = ${sqlText(row[kind.sqlModeAt] ?? '')};`,
    ...(kind.word === 'EVENT' ? [`SET time_zone = ${sqlText(row[2] ?? 'SYSTEM')};`] : []),
    `DELIMITER ${delimiter}`,
    `${code} ${delimiter}`,
    'DELIMITER ;',
    ...(moved ? [alter(database.collation)] : []),
  ];
}

function delimiterFor(code: string): string {
  let delimiter = ';;';
  while (code.includes(delimiter)) delimiter += ';';
  return delimiter;
}
