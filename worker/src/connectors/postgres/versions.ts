import { XVaultError } from '@xvault/shared/errors.ts';
import type { FoundTool } from '../database/tool-host.ts';

/** `pg_dump (PostgreSQL) 15.4 (Debian …)` → 15; 0 where it cannot be told. */
export function majorOf(versionText: string): number {
  return Number(/\(PostgreSQL\)\s+(\d+)/.exec(versionText)?.[1] ?? 0);
}

/** The oldest of the programs that is not older than `major`: newer ones know the older format, not the other way round. */
export function fitting(tools: readonly FoundTool[], major: number, why: string): FoundTool {
  const able = tools.filter(({ versionText }) => majorOf(versionText) >= major);
  const [best] = able.sort((a, b) => majorOf(a.versionText) - majorOf(b.versionText));
  if (best !== undefined) return best;
  const found = tools.map(({ versionText }) => versionText).join('; ');
  throw new XVaultError('SOURCE_TOOL_MISSING', {
    detail: `${why} needs version ${major} or newer; found: ${found || 'none'}`,
    params: { needed_version: major },
  });
}
