import { XVaultError } from '@xvault/shared/errors.ts';
import type { ToolPlace } from '../mysql/link.ts';

/** What WordPress takes for DB_HOST: `host`, `host:port`, `host:/socket`, `[::1]:port`, `:/socket`; a socket wins over a port. */
export function parseDbHost(text: string): ToolPlace {
  const bad = () =>
    new XVaultError('WORDPRESS_CONFIG_UNREADABLE', { detail: 'DB_HOST is no host', params: { setting: 'DB_HOST' } });
  const socketAt = text.indexOf(':/');
  if (socketAt !== -1) return { socket: text.slice(socketAt + 1) };
  const found = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:/]+)|([0-9A-Fa-f]*:[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*))?(?::(\d{1,5}))?$/.exec(
    text,
  );
  if (found === null) throw bad();
  const host = found[1] ?? found[2] ?? found[3] ?? 'localhost';
  const port = found[4] === undefined ? null : Number(found[4]);
  if (port !== null && (port < 1 || port > 65535)) throw bad();
  // Named so and without a port, it is the socket that the programs know themselves, for PHP and for them alike.
  return host === 'localhost' && port === null ? { host, port: null } : { host, port: port ?? 3306 };
}
