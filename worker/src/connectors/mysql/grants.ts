import { XVaultError } from '@xvault/shared/errors.ts';

/** Without any of these a dump lacks something and says nothing of it: triggers and events are just not listed. */
const needed = ['SELECT', 'SHOW VIEW', 'TRIGGER', 'EVENT'] as const;

/** Refuses (DATABASE_PERMISSION) a user whose dump of a database would be silently incomplete. */
export function demandPrivileges(grants: readonly string[], databases: readonly string[]): void {
  for (const database of databases) {
    const lacking = lackingPrivileges(grants, database);
    if (lacking.length === 0) continue;
    throw new XVaultError('DATABASE_PERMISSION', {
      detail: `on ${JSON.stringify(database)} the user lacks ${lacking.join(', ')}; the dump would silently miss what needs it`,
      params: { database, lacking: lacking.join(', ') },
    });
  }
}

/** Of those that a whole dump needs. `grants` are the lines of SHOW GRANTS. */
export function lackingPrivileges(grants: readonly string[], database: string): string[] {
  const applying = grants.flatMap(parseGrant).filter(({ matches }) => matches(database));
  const has = new Set(applying.flatMap(({ privileges }) => privileges));
  return has.has('ALL PRIVILEGES') || has.has('ALL') ? [] : needed.filter((privilege) => !has.has(privilege));
}

interface Grant {
  readonly privileges: readonly string[];
  readonly matches: (database: string) => boolean;
}

/** `GRANT SELECT, SHOW VIEW ON \`shop\_%\`.* TO …`; grants of single tables and of roles do not count. */
export function parseGrant(line: string): Grant[] {
  const found = /^GRANT (.+?) ON (\*|`(?:[^`]|``)*`|"(?:[^"]|"")*")\.\* TO /s.exec(line);
  if (found === null) return [];
  const [, privileges = '', place = ''] = found;
  const pattern = place === '*' ? /^/ : likePattern(place.slice(1, -1).replaceAll('``', '`'));
  return [
    {
      privileges: privileges.split(',').map((privilege) => privilege.trim().toUpperCase()),
      matches: (database) => pattern.test(database),
    },
  ];
}

function likePattern(text: string): RegExp {
  const source = text.replace(/\\?[\s\S]/gu, (piece) => {
    if (piece === '%') return '[\\s\\S]*';
    if (piece === '_') return '[\\s\\S]';
    const character = piece.length > 1 && piece.startsWith('\\') ? piece.slice(1) : piece;
    return character.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
  });
  return new RegExp(`^${source}$`, 'iu');
}
