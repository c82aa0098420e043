import { createHash, randomBytes } from 'node:crypto';
import { type DriveFile, parseDriveQuery } from './drive-query.ts';

export const folderType = 'application/vnd.google-apps.folder';
export const documentType = 'application/vnd.google-apps.document';
const docx = 'application/vnd.openxmlformats-officedocument.wordprocessingml.document';

export interface ApiRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Buffer;
}
export type ApiAnswer =
  | { readonly status: number; readonly json: unknown; readonly headers?: Readonly<Record<string, string>> }
  | { readonly status: number; readonly bytes: Buffer; readonly headers?: Readonly<Record<string, string>> };

/** The part of Drive v3 that reading takes. Source: Google's "Drive API v3 reference". */
export class DriveApi {
  readonly #files = new Map<string, DriveFile>();
  readonly #drives = new Map<string, string>();
  readonly rootId: string;
  /** Files in one page at most. */
  pageSize = 1000;

  constructor() {
    this.rootId = this.#add({ name: 'My Drive', mimeType: folderType, parents: [], content: null });
  }

  /** A file or, without content, a folder below another; folders on the way are made. Gives its id. */
  put(path: string, content: Buffer | string | null, more: Partial<DriveFile> & { readonly in?: string } = {}): string {
    const { in: root = this.rootId, ...own } = more;
    const parts = path.split('/');
    const name = parts.pop() ?? '';
    let parent = root;
    for (const part of parts) parent = this.#folder(parent, part);
    const same = [...this.#files.values()].find((file) => file.name === name && file.parents.includes(parent));
    if (same !== undefined) this.#files.delete(same.id);
    const isFolder = content === null;
    const bytes = content === null ? null : Buffer.from(content);
    const mimeType = isFolder ? folderType : 'application/octet-stream';
    const kept = same === undefined ? {} : { id: same.id };
    return this.#add({ name, mimeType, parents: [parent], content: bytes, ...kept, ...own });
  }

  remove(id: string): void {
    this.#files.delete(id);
  }

  /** Names in a folder need not be unique. */
  move(id: string, parent: string): void {
    const file = this.#files.get(id);
    if (file !== undefined) this.#files.set(id, { ...file, parents: [parent] });
  }

  addSharedDrive(name: string): string {
    const id = this.#add({ name, mimeType: folderType, parents: [], content: null });
    this.#drives.set(id, name);
    return id;
  }

  answer({ path, query, headers }: ApiRequest): ApiAnswer {
    if (path === '/drive/v3/files') return this.#list(query);
    if (path === '/drive/v3/drives') return this.#listDrives(query);
    if (path === '/drive/v3/about') return { status: 200, json: about };
    const drive = /^\/drive\/v3\/drives\/([^/]+)$/.exec(path)?.[1];
    if (drive !== undefined) return this.#sharedDrive(drive);
    const [, id = '', action] = /^\/drive\/v3\/files\/([^/]+)(\/export)?$/.exec(path) ?? [];
    const file = this.#files.get(id === 'root' ? this.rootId : id);
    if (file === undefined) return driveError(404, 'notFound', `File not found: ${id}.`);
    if (action !== undefined) return exported(file);
    if (query.get('alt') === 'media') return media(file, headers.range);
    return { status: 200, json: resource(file) };
  }

  #list(query: URLSearchParams): ApiAnswer {
    const test = parseDriveQuery(query.get('q') ?? 'trashed=false');
    const driveId = query.get('driveId');
    const found = [...this.#files.values()]
      .filter((file) => file.id !== this.rootId && !this.#drives.has(file.id) && test(file))
      .filter((file) => driveId === null || this.#rootOf(file) === driveId);
    const from = Number(query.get('pageToken') ?? 0);
    const size = Math.min(this.pageSize, Number(query.get('pageSize') ?? 100));
    const next = from + size < found.length ? { nextPageToken: String(from + size) } : {};
    return {
      status: 200,
      json: { kind: 'drive#fileList', files: found.slice(from, from + size).map(resource), ...next },
    };
  }

  #listDrives(query: URLSearchParams): ApiAnswer {
    const all = [...this.#drives].map(([id, name]) => ({ kind: 'drive#drive', id, name }));
    const from = Number(query.get('pageToken') ?? 0);
    const size = Math.min(this.pageSize, Number(query.get('pageSize') ?? 10));
    const next = from + size < all.length ? { nextPageToken: String(from + size) } : {};
    return { status: 200, json: { kind: 'drive#driveList', drives: all.slice(from, from + size), ...next } };
  }

  #sharedDrive(id: string): ApiAnswer {
    const name = this.#drives.get(id);
    if (name === undefined) return driveError(404, 'notFound', `Shared drive not found: ${id}`);
    return { status: 200, json: { kind: 'drive#drive', id, name } };
  }

  #folder(parent: string, name: string): string {
    const known = [...this.#files.values()].find(
      (file) => file.name === name && file.mimeType === folderType && file.parents.includes(parent),
    );
    return known?.id ?? this.#add({ name, mimeType: folderType, parents: [parent], content: null });
  }

  #rootOf(file: DriveFile): string {
    const [parent] = file.parents;
    const above = parent === undefined ? undefined : this.#files.get(parent);
    return above === undefined ? file.id : this.#rootOf(above);
  }

  #add(file: Pick<DriveFile, 'name' | 'mimeType' | 'parents' | 'content'> & Partial<DriveFile>): string {
    const id = file.id ?? randomBytes(16).toString('base64url');
    const rest = { modifiedTime: '2026-03-04T05:06:07.890Z', trashed: false, driveId: null };
    this.#files.set(id, { ...rest, ...file, id });
    return id;
  }
}

/** The envelope of all errors of Google's APIs. */
export function driveError(status: number, reason: string, message: string): ApiAnswer {
  const errors = [{ domain: 'usageLimits', reason, message }];
  return { status, json: { error: { code: status, message, errors } } };
}

function resource({ content, driveId, mimeType, ...file }: DriveFile) {
  const isDocument = mimeType === documentType;
  const link = `https://www.googleapis.com/drive/v3/files/${file.id}/export?mimeType=${encodeURIComponent(docx)}`;
  return {
    kind: 'drive#file',
    mimeType,
    createdTime: file.modifiedTime,
    ...file,
    ...(driveId === null ? {} : { driveId }),
    ...(content === null || isDocument
      ? {}
      : { size: String(content.length), md5Checksum: createHash('md5').update(content).digest('hex') }),
    ...(isDocument ? { exportLinks: { [docx]: link } } : {}),
  };
}

function media({ content, mimeType }: DriveFile, range: string | string[] | undefined): ApiAnswer {
  if (content === null || mimeType === documentType) {
    return driveError(403, 'fileNotDownloadable', 'Only files with binary content can be downloaded.');
  }
  return ranged(content, typeof range === 'string' ? range : undefined);
}

function exported({ content }: DriveFile): ApiAnswer {
  return { status: 200, bytes: content ?? Buffer.alloc(0), headers: { 'x-without-length': 'yes' } };
}

/** Content, or the part of it that was asked for. */
export function ranged(content: Buffer, range: string | undefined): ApiAnswer {
  const match = /^bytes=(\d+)-(\d*)$/.exec(range ?? '');
  if (match === null) return { status: 200, bytes: content };
  const [from, to] = [Number(match[1]), match[2] === '' ? content.length - 1 : Number(match[2])];
  const bytes = content.subarray(from, to + 1);
  return {
    status: 206,
    bytes,
    headers: { 'content-range': `bytes ${from}-${from + bytes.length - 1}/${content.length}` },
  };
}

const about = {
  kind: 'drive#about',
  user: { displayName: 'A user', emailAddress: 'user@example.com' },
  storageQuota: { limit: '1000000000', usage: '250000000', usageInDrive: '250000000', usageInDriveTrash: '0' },
  exportFormats: { [documentType]: [docx, 'application/pdf', 'text/plain'] },
  importFormats: {},
};
