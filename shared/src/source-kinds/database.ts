import { z } from 'zod';
import { caPem, hostName, oneLine, password, portNumber } from './common.ts';
import { jumpSecret, sshEndpoint } from './ssh.ts';

const databaseNames = z.array(oneLine).max(1000);

const selection = {
  /** Which databases; null is all that the user sees, looked up at each run. */
  databases: databaseNames.min(1).nullable().default(null),
  /** Left out of "all". */
  exclude_databases: databaseNames.default([]),
};

/**
 * How the server is reached. `direct`: from the worker. `ssh_tunnel`: the worker's dump tool through a forwarded port.
 * `ssh_remote`: the dump tool of the far side, its output streamed.
 */
const way = {
  via: z.enum(['direct', 'ssh_tunnel', 'ssh_remote']).default('direct'),
  /** For both ways over SSH. */
  ssh: z.strictObject(sshEndpoint).nullable().default(null),
};
const tls = {
  tls: z.enum(['disabled', 'preferred', 'required', 'verify_ca', 'verify_full']).default('preferred'),
  ca_pem: caPem.nullable().default(null),
};
const needsSsh = ({ via, ssh }: { via: string; ssh: unknown }) => (via === 'direct') === (ssh === null);
const sshMissing = { message: 'give "ssh" when, and only when, "via" is over SSH', path: ['ssh'] };

export const mysqlConfig = z
  .strictObject({
    host: hostName.default('127.0.0.1'),
    port: portNumber.default(3306),
    user: oneLine,
    ...selection,
    ...way,
    ...tls,
  })
  .refine(needsSsh, sshMissing);

export const postgresConfig = z
  .strictObject({
    host: hostName.default('127.0.0.1'),
    port: portNumber.default(5432),
    user: oneLine,
    /** Connected to for looking the others up. */
    maintenance_database: oneLine.default('postgres'),
    /** Roles and tablespaces beside the databases (`pg_dumpall --globals-only --no-role-passwords`). */
    globals: z.boolean().default(true),
    ...selection,
    ...way,
    ...tls,
  })
  .refine(needsSsh, sshMissing);

/** `password` of the database user; `ssh` where the way goes over SSH. */
export const databaseSecret = z.strictObject({
  password,
  ssh: z
    .strictObject({
      password: password.optional(),
      private_key: z.string().min(1).max(65536).optional(),
      passphrase: z.string().max(4096).optional(),
      jump: jumpSecret.optional(),
    })
    .optional(),
});
export type MysqlConfig = z.infer<typeof mysqlConfig>;
export type PostgresConfig = z.infer<typeof postgresConfig>;
export type DatabaseSecret = z.infer<typeof databaseSecret>;
