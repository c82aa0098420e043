import { XVaultError } from '@xvault/shared/errors.ts';

export interface Selection {
  readonly databases: readonly string[] | null;
  readonly exclude_databases: readonly string[];
}

/** Those that are asked for. Throws DATABASE_NOT_FOUND. */
export function choose<T extends { readonly name: string }>(found: readonly T[], selection: Selection): T[] {
  const left = new Set(selection.exclude_databases);
  if (selection.databases === null) return found.filter(({ name }) => !left.has(name));
  return [...new Set(selection.databases)].map((wanted) => {
    const one = found.find(({ name }) => name === wanted);
    if (one === undefined) {
      throw new XVaultError('DATABASE_NOT_FOUND', {
        detail: `no database ${JSON.stringify(wanted)} that this user sees`,
        params: { database: wanted },
      });
    }
    return one;
  });
}
