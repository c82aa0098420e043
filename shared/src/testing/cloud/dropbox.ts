import { createHash, randomBytes } from 'node:crypto';
import { type ApiAnswer, type ApiRequest, ranged } from './google-drive.ts';

interface Entry {
  readonly id: string;
  readonly path: string;
  /** Null for a folder. */
  readonly content: Buffer | null;
  readonly modified: string;
}

const blockBytes = 4 * 1024 * 1024;

/** The part of the API v2 that reading takes. Source: Dropbox's "HTTP documentation". */
export class DropboxApi {
  readonly #entries = new Map<string, Entry>();
  readonly #cursors = new Map<string, Entry[]>();
  /** Entries in one answer at most. */
  pageSize = 1000;

  /** Folders on the way are made. */
  put(path: string, content: Buffer | string): void {
    const parts = path.split('/');
    parts.slice(0, -1).forEach((_, at) => {
      const folder = `/${parts.slice(0, at + 1).join('/')}`;
      if (!this.#entries.has(folder.toLowerCase())) this.#set(folder, null);
    });
    this.#set(`/${path}`, Buffer.from(content));
  }

  remove(path: string): void {
    this.#entries.delete(`/${path}`.toLowerCase());
  }

  answer({ path, headers, body }: ApiRequest): ApiAnswer {
    const argument: unknown = JSON.parse(
      headers['dropbox-api-arg']?.toString() ?? (body.length === 0 ? 'null' : body.toString()),
    );
    const field = (name: string) =>
      typeof argument === 'object' && argument !== null ? String(Reflect.get(argument, name) ?? '') : '';
    // Slashes that come doubled are taken for one.
    const at = field('path').replace(/\/+/g, '/');
    switch (path) {
      case '/2/files/list_folder':
        return this.#listFolder(at, field('recursive') === 'true');
      case '/2/files/list_folder/continue':
        return this.#page(this.#cursors.get(field('cursor')));
      case '/2/files/get_metadata':
        return this.#metadata(at);
      case '/2/files/download':
        return this.#download(at, headers.range?.toString());
      case '/2/users/get_space_usage':
        return { status: 200, json: { used: 5_000, allocation: { '.tag': 'individual', allocated: 2_000_000_000 } } };
      case '/2/users/get_current_account':
        return { status: 200, json: account };
      default:
        return { status: 400, json: { error_summary: `unknown function ${path}` } };
    }
  }

  #set(path: string, content: Buffer | null): void {
    const id = this.#entries.get(path.toLowerCase())?.id ?? `id:${randomBytes(12).toString('base64url')}`;
    this.#entries.set(path.toLowerCase(), { id, path, content, modified: '2026-03-04T05:06:07Z' });
  }

  #listFolder(path: string, isRecursive: boolean): ApiAnswer {
    const folder = path.toLowerCase();
    if (folder !== '' && this.#entries.get(folder)?.content !== null) return notFound('path/not_found');
    const inside = [...this.#entries].filter(([key]) => key.startsWith(`${folder}/`));
    const direct = inside.filter(([key]) => isRecursive || !key.slice(folder.length + 1).includes('/'));
    return this.#page(direct.map(([, entry]) => entry));
  }

  #page(entries: readonly Entry[] | undefined): ApiAnswer {
    if (entries === undefined) return notFound('reset');
    const cursor = randomBytes(12).toString('base64url');
    this.#cursors.set(cursor, entries.slice(this.pageSize));
    const page = entries.slice(0, this.pageSize).map(metadataOf);
    return { status: 200, json: { entries: page, cursor, has_more: entries.length > this.pageSize } };
  }

  #metadata(path: string): ApiAnswer {
    const entry = this.#entries.get(path.toLowerCase());
    return entry === undefined ? notFound('path/not_found') : { status: 200, json: metadataOf(entry) };
  }

  #download(path: string, range: string | undefined): ApiAnswer {
    const entry = this.#entries.get(path.toLowerCase()) ?? [...this.#entries.values()].find(({ id }) => id === path);
    if (entry?.content == null) return notFound('path/not_found');
    return { ...ranged(entry.content, range), headers: { 'dropbox-api-result': inHeader(metadataOf(entry)) } };
  }
}

/** Headers hold ASCII alone. */
function inHeader(value: unknown): string {
  return JSON.stringify(value).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** Errors of an endpoint's own come with 409. */
function notFound(summary: string): ApiAnswer {
  const [tag = '', inner = ''] = summary.split('/');
  return { status: 409, json: { error_summary: `${summary}/..`, error: { '.tag': tag, [tag]: { '.tag': inner } } } };
}

function metadataOf({ id, path, content, modified }: Entry) {
  const common = { id, name: path.split('/').at(-1), path_lower: path.toLowerCase(), path_display: path };
  if (content === null) return { '.tag': 'folder', ...common };
  return {
    '.tag': 'file',
    ...common,
    client_modified: modified,
    server_modified: modified,
    rev: '015f0000000000000000000',
    size: content.length,
    is_downloadable: true,
    content_hash: contentHash(content),
  };
}

/** Source: Dropbox's "Content hash". */
function contentHash(content: Buffer): string {
  const whole = createHash('sha256');
  for (let at = 0; at < content.length; at += blockBytes) {
    whole.update(
      createHash('sha256')
        .update(content.subarray(at, at + blockBytes))
        .digest(),
    );
  }
  return whole.digest('hex');
}

const account = {
  account_id: 'dbid:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA',
  name: { given_name: 'A', surname: 'user', familiar_name: 'A', display_name: 'A user', abbreviated_name: 'AU' },
  email: 'user@example.com',
  email_verified: true,
  disabled: false,
  locale: 'en',
  referral_link: 'https://example.com',
  is_paired: false,
  account_type: { '.tag': 'basic' },
  root_info: { '.tag': 'user', root_namespace_id: '1', home_namespace_id: '1' },
};
