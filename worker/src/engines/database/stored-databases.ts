import { createHash } from 'node:crypto';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ArtifactReader } from '../../artifact/artifact-reader.ts';
import { type DatabaseDescription, databaseDescription } from '../../connectors/database/description.ts';

/** What is needed of the reader. */
export type DatabaseReader = Pick<ArtifactReader, 'entries' | 'readTar'>;

interface StoredPart {
  readonly dataOffset: number;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** A database as it is in a snapshot. */
export interface StoredDatabase {
  /** `databases/…`: what selects it by path. */
  readonly path: string;
  readonly description: DatabaseDescription;
  readonly parts: readonly StoredPart[];
  readonly sizeBytes: number;
}

const entryPattern = /^(databases\/[^/]+)\/(?:(database\.json)|dump\.(?:sql|pgc)\.(\d{6,}))$/;
/** Ours are far smaller; a forged size must not take the memory. */
const maxPartBytes = 64 * 1024 * 1024;
const maxDescriptionBytes = 1024 * 1024;

interface Collected {
  description: StoredPart | undefined;
  readonly parts: StoredPart[];
}

/** All databases of a snapshot. Throws ARTIFACT_CORRUPT where one is not whole. */
export async function storedDatabases(reader: DatabaseReader, signal: AbortSignal): Promise<StoredDatabase[]> {
  const found = new Map<string, Collected>();
  for await (const entry of reader.entries(signal)) {
    if (entry.type !== 'file' || entry.sha256 === null) continue;
    const match = entryPattern.exec(entry.path.toString('latin1'));
    if (match === null) continue;
    const [, folder = '', isDescription, number] = match;
    const one = found.get(folder) ?? { description: undefined, parts: [] };
    found.set(folder, one);
    const part = { dataOffset: entry.dataOffset, sizeBytes: entry.sizeBytes, sha256: entry.sha256 };
    if (isDescription !== undefined) one.description = part;
    else if (Number(number) === one.parts.length + 1 && part.sizeBytes <= maxPartBytes) one.parts.push(part);
    else throw corrupt(`${folder}: part ${number} is out of order or too large`);
  }
  const databases: StoredDatabase[] = [];
  for (const [path, { description, parts }] of found) {
    if (description === undefined || parts.length === 0) throw corrupt(`${path} has no description or no parts`);
    const sizeBytes = parts.reduce((sum, part) => sum + part.sizeBytes, 0);
    databases.push({ path, description: await describe(reader, path, description, signal), parts, sizeBytes });
  }
  return databases;
}

/** The dump's bytes. Each part is looked at whole before any of it is passed on. Throws ARTIFACT_CORRUPT. */
export async function* dumpContent(
  reader: DatabaseReader,
  database: StoredDatabase,
  signal: AbortSignal,
): AsyncGenerator<Buffer> {
  for (const part of database.parts) yield await readPart(reader, database.path, part, signal);
}

async function describe(reader: DatabaseReader, path: string, file: StoredPart, signal: AbortSignal) {
  if (file.sizeBytes > maxDescriptionBytes) throw corrupt(`${path}: the description is too large`);
  const text = (await readPart(reader, path, file, signal)).toString();
  const parsed = databaseDescription.safeParse(parseJson(text));
  if (!parsed.success) throw corrupt(`${path}: the description has another shape`);
  return parsed.data;
}

async function readPart(reader: DatabaseReader, path: string, part: StoredPart, signal: AbortSignal): Promise<Buffer> {
  const data = Buffer.allocUnsafe(part.sizeBytes);
  let filled = 0;
  for await (const piece of reader.readTar(part.dataOffset, part.sizeBytes, signal)) {
    piece.copy(data, filled);
    filled += piece.length;
  }
  const sha256 = createHash('sha256').update(data).digest('hex');
  if (filled !== part.sizeBytes || sha256 !== part.sha256) throw corrupt(`${path}: a part differs from its checksum`);
  return data;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function corrupt(detail: string): XVaultError {
  return new XVaultError('ARTIFACT_CORRUPT', { detail });
}
