import type { ArchiveOptions } from '@xvault/shared/archive-options.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { invalidField } from '../http/problem.ts';

/** Throws BAD_REQUEST when a command is to run on a source that is not reached over SSH. */
export function requireHooksFit({ hooks }: Pick<ArchiveOptions, 'hooks'>, source: SourceConnection): void {
  if (isOverSsh(source)) return;
  for (const phase of ['pre', 'post'] as const) {
    const at = hooks[phase].findIndex(({ type }) => type === 'ssh');
    if (at === -1) continue;
    throw invalidField(`options.hooks.${phase}.${at}.type`, 'commands run only on sources that are reached over SSH');
  }
}

function isOverSsh(source: SourceConnection): boolean {
  switch (source.type) {
    case 'sftp':
    case 'ssh':
    case 'wordpress':
      return true;
    case 'mysql':
    case 'postgres':
      return source.config.ssh !== null;
    default:
      return false;
  }
}
