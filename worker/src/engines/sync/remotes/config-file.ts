import { XVaultError } from '@xvault/shared/errors.ts';

/** Options of one remote, by rclone's names. */
export type RemoteOptions = Readonly<Record<string, string>>;

/** Letters only: rclone derives names of environment variables from it. */
export type RemoteName = 'src' | 'raw' | 'dst' | 'tgt';

/**
 * rclone's config file. Throws SYNC_FAILED for a value that its reader would take for something else: line breaks, quotes at the
 * beginning, `%(…)` references, space at the ends.
 */
export function renderConfig(remotes: Readonly<Partial<Record<RemoteName, RemoteOptions>>>): string {
  return Object.entries(remotes)
    .map(([name, options]) => `[${name}]\n${Object.entries(options).map(renderOption).join('')}\n`)
    .join('');
}

function renderOption([name, value]: [string, string]): string {
  if (!/^[a-z0-9_]+$/.test(name)) throw refused(name);
  if (/\p{Cc}/u.test(value) || /^["`]/.test(value) || value.includes('%(') || value !== value.trim()) {
    throw refused(name);
  }
  return `${name} = ${value}\n`;
}

/** Never quotes the value. */
function refused(name: string): XVaultError {
  return new XVaultError('SYNC_FAILED', { detail: `the value of the option ${name} cannot be given to rclone` });
}
