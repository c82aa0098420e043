import { rootCertificates } from 'node:tls';
import type { TlsPolicy } from '../database/tls.ts';

export interface PgPlace {
  /** The name that certificates are checked for. */
  readonly host: string;
  /** Dialled in its place; null to look the name up there. */
  readonly address: string | null;
  readonly port: number;
}

const sslModes = {
  disabled: 'disable',
  preferred: 'prefer',
  required: 'require',
  verify_ca: 'verify-ca',
  verify_full: 'verify-full',
} as const;

/** One database as libpq's tools take it: a name alone would be read as a list of settings if it holds `=`. */
export function conninfo(database: string): string {
  return `dbname='${database.replace(/[\\']/g, '\\$&')}'`;
}

/** Settings of a tool, none of them secret. `paths` are those of {@link toolFiles}. */
export function toolEnvironment(user: string, place: PgPlace, policy: TlsPolicy, paths: readonly string[]) {
  const [passwords = '', authorities] = paths;
  return {
    PGUSER: user,
    PGHOST: place.host,
    ...(place.address === null ? {} : { PGHOSTADDR: place.address }),
    PGPORT: String(place.port),
    PGPASSFILE: passwords,
    PGSSLMODE: sslModes[policy.mode],
    // Without verification no file of the machine's user may bring one in.
    PGSSLROOTCERT: authorities ?? '/nonexistent',
    PGSSLCERT: '/nonexistent',
    PGGSSENCMODE: 'disable',
    PGCONNECT_TIMEOUT: '20',
    PGAPPNAME: 'xvault',
  };
}

/** The password file, and the authorities where certificates are verified: the customer's, or those that everybody trusts. */
export function toolFiles(password: string, policy: TlsPolicy): string[] {
  const line = `*:*:*:*:${password.replace(/[\\:]/g, '\\$&')}\n`;
  const verifies = policy.mode === 'verify_ca' || policy.mode === 'verify_full';
  return verifies ? [line, `${policy.caPem ?? rootCertificates.join('\n')}\n`] : [line];
}
