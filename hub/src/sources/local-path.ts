import { XVaultError } from '@xvault/shared/errors.ts';
import { isWithin, type SourceConnection, type SourceType } from '@xvault/shared/sources.ts';
import type { TenantRow } from '../db/schema.ts';

/** Whether a path on a worker's disk lies within the roots that the operator gave the tenant. */
export function isAllowedPath({ local_paths }: Pick<TenantRow, 'local_paths'>, path: string): boolean {
  return local_paths.some((root) => isWithin(root, path));
}

/** Throws PATH_NOT_ALLOWED for a local source outside them. Checked at each use, for the operator may take a root back. */
export function requireAllowedSource(
  tenant: Pick<TenantRow, 'local_paths'>,
  source:
    | Pick<Extract<SourceConnection, { type: 'local' }>, 'type' | 'config'>
    | { type: Exclude<SourceType, 'local'> },
): void {
  if (source.type === 'local' && !isAllowedPath(tenant, source.config.path)) throw new XVaultError('PATH_NOT_ALLOWED');
}
