import type { ToolPlace } from './link.ts';

/** Makes a text a value of an option file, whatever it holds. */
function quoted(value: string): string {
  const escapes: Record<string, string> = {
    '\\': '\\\\',
    '"': '\\"',
    '\n': '\\n',
    '\r': '\\r',
    '\t': '\\t',
    '\b': '\\b',
  };
  return `"${value.replace(/[\\"\n\r\t\b]/g, (character) => escapes[character] ?? character)}"`;
}

export type ToolFlavor = 'mariadb' | 'mysql';

/** Which of the two families a program is of: their options are not the same. */
export function flavorOf(versionText: string): ToolFlavor {
  return /mariadb/i.test(versionText) ? 'mariadb' : 'mysql';
}

export interface OptionFile {
  readonly user: string;
  readonly password: string;
  readonly place: ToolPlace;
  /** Lines about TLS, for this flavor. */
  readonly tls: readonly string[];
}

/** What the programs read with `--defaults-file`: the only place where they get a password from. */
export function optionFile({ user, password, place, tls }: OptionFile): string {
  const where =
    'socket' in place
      ? [`socket=${quoted(place.socket)}`, 'protocol=SOCKET']
      : [`host=${quoted(place.host)}`, ...(place.port === null ? [] : [`port=${place.port}`, 'protocol=TCP'])];
  return ['[client]', `user=${quoted(user)}`, `password=${quoted(password)}`, ...where, ...tls, ''].join('\n');
}

/** The way is chosen and encrypted already: no TLS of the program's own. */
export function withoutTls(flavor: ToolFlavor): string[] {
  return flavor === 'mariadb' ? ['skip-ssl'] : ['ssl-mode=DISABLED', 'get-server-public-key=ON'];
}
