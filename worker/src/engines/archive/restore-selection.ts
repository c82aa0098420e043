import { XVaultError } from '@xvault/shared/errors.ts';
import { textToPath } from '../../artifact/path-text.ts';
import { parentKeys, pathKey } from './paths.ts';

/** `parent`: a directory above something chosen, restored for its mode and mtime without what else it holds. */
export type Chosen = 'chosen' | 'parent' | 'no';

/** Which entries a restore asks for. */
export class RestoreSelection {
  /** Key → the text it was asked by; null chooses everything. */
  readonly #wanted: Map<string, string> | null;
  readonly #parents = new Set<string>();
  readonly #unseen = new Set<string>();

  /** `paths`: snapshot paths as text; null chooses all. Throws RESTORE_PATH_NOT_FOUND for a text that names no path. */
  constructor(paths: readonly string[] | null) {
    this.#wanted = paths === null || paths.includes('.') ? null : new Map();
    for (const path of this.#wanted === null ? [] : (paths ?? [])) {
      const bytes = textToPath(path.replace(/\/$/, ''));
      if (bytes === undefined || bytes.length === 0) throw notFound(path);
      const key = pathKey(bytes);
      this.#wanted?.set(key, path);
      this.#unseen.add(key);
      this.#parents.add('.');
      for (const parent of parentKeys(key)) this.#parents.add(parent);
    }
  }

  get choosesAll(): boolean {
    return this.#wanted === null;
  }

  /** Also notes that the path exists, for {@link demandAllSeen}. */
  choose(key: string): Chosen {
    if (this.#wanted === null) return 'chosen';
    this.#unseen.delete(key);
    if (this.#wanted.has(key)) return 'chosen';
    for (const parent of parentKeys(key)) if (this.#wanted.has(parent)) return 'chosen';
    return this.#parents.has(key) ? 'parent' : 'no';
  }

  /** Throws RESTORE_PATH_NOT_FOUND for the first path asked for that never came by. */
  demandAllSeen(): void {
    for (const key of this.#unseen) throw notFound(this.#wanted?.get(key) ?? key);
  }
}

function notFound(path: string): XVaultError {
  return new XVaultError('RESTORE_PATH_NOT_FOUND', { params: { path } });
}
