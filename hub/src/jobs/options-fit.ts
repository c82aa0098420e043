import type { ArchiveOptions } from '@xvault/shared/archive-options.ts';
import type { SourceConnection } from '@xvault/shared/sources.ts';
import { invalidField } from '../http/problem.ts';

type Options = Pick<ArchiveOptions, 'hooks' | 'follow_symlinks' | 'one_file_system'>;

/** Throws BAD_REQUEST when the options ask for something that this kind of source does not have. */
export function requireOptionsFit(options: Options, source: SourceConnection): void {
  if (!isOverSsh(source)) refuseCommands(options);
  if (options.follow_symlinks && !followsLinks(source)) {
    throw invalidField(
      'options.follow_symlinks',
      'links are followed only on local sources and on those of files over SSH',
    );
  }
  if (options.one_file_system && source.type === 'ftp') {
    throw invalidField('options.one_file_system', 'FTP servers cannot tell file systems apart');
  }
}

function refuseCommands({ hooks }: Options): void {
  for (const phase of ['pre', 'post'] as const) {
    const at = hooks[phase].findIndex(({ type }) => type === 'ssh');
    if (at === -1) continue;
    throw invalidField(`options.hooks.${phase}.${at}.type`, 'commands run only on sources that are reached over SSH');
  }
}

function followsLinks({ type }: SourceConnection): boolean {
  return type === 'local' || type === 'sftp' || type === 'ssh' || type === 'wordpress';
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
