import type { DatabaseSecret, MysqlConfig } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { localTools } from '../database/local-tools.ts';
import { remoteTools } from '../database/remote-tools.ts';
import { openSsh } from '../database/ssh-way.ts';
import type { TlsPolicy } from '../database/tls.ts';
import type { ToolHost } from '../database/tool-host.ts';
import type { SshClient } from '../ssh/client.ts';
import { clientNames } from './dump.ts';
import { farSql } from './far-sql.ts';
import { type Dialler, openMysqlLink } from './link.ts';
import { flavorOf, optionFile, type ToolFlavor, withoutTls } from './option-file.ts';
import { openSql, type Sql } from './sql.ts';

export type MysqlTarget = MysqlConfig & { readonly host_key: string | null };

/** A server, reached as its config says. */
export interface MysqlReach {
  /** Logs in, asks, and logs out again: servers end logins that are idle for as long as a dump takes. */
  withSql<T>(ask: (sql: Sql) => Promise<T>, until?: AbortSignal): Promise<T>;
  /** Where dumper and client run, and what they read to get at the server. */
  readonly host: ToolHost;
  files(flavor: ToolFlavor): readonly string[];
  readonly ssh: SshClient | null;
  /** Whether the network sees TLS; null where only the far side knows. */
  readonly secured: boolean | null;
  close(): Promise<void>;
}

const connectMs = 20_000;

/** Throws SOURCE_…, SSH_…. */
export async function reachMysql(
  guard: AddressGuard,
  target: MysqlTarget,
  secret: DatabaseSecret,
  acceptUnknown: boolean,
  signal: AbortSignal,
): Promise<MysqlReach> {
  const ssh = target.via === 'direct' ? null : await openSsh(guard, target, secret, acceptUnknown, signal);
  try {
    return target.via === 'ssh_remote' && ssh !== null
      ? await reachOnFarSide(ssh, target, secret, signal)
      : await reachFromHere(guard, ssh, target, secret, signal);
  } catch (error) {
    await ssh?.close();
    throw error;
  }
}

async function reachFromHere(
  guard: AddressGuard,
  ssh: SshClient | null,
  target: MysqlTarget,
  secret: DatabaseSecret,
  signal: AbortSignal,
): Promise<MysqlReach> {
  const { host, port, user } = target;
  const dialler: Dialler = {
    direct: ssh === null,
    dial: (until) =>
      ssh === null ? guard.dial(host, port, { timeoutMs: connectMs, signal: until }) : ssh.forward(host, port, until),
  };
  const link = await openMysqlLink(dialler, policyOf(target), signal);
  const login = { user, password: secret.password };
  return {
    async withSql(ask, until = signal) {
      const sql = await openSql(link, login, until);
      try {
        return await ask(sql);
      } finally {
        await sql.close();
      }
    },
    host: localTools,
    files: (flavor) => [optionFile({ ...login, place: link.toolPlace, tls: withoutTls(flavor) })],
    ssh,
    secured: link.secured,
    async close() {
      await link.close();
      await ssh?.close();
    },
  };
}

async function reachOnFarSide(
  ssh: SshClient,
  target: MysqlTarget,
  secret: DatabaseSecret,
  signal: AbortSignal,
): Promise<MysqlReach> {
  const { host, port, user } = target;
  const tools = remoteTools(ssh);
  const client = await tools.find(clientNames, signal);
  const policy = policyOf(target);
  const files = (flavor: ToolFlavor) => [
    optionFile({ user, password: secret.password, place: { host, port }, tls: farTls(flavor, policy) }),
    ...(policy.caPem === null ? [] : [policy.caPem]),
  ];
  const [options = '', caPem] = files(flavorOf(client.versionText));
  return {
    withSql: (ask, until = signal) => ask(farSql(tools, client.program, options, caPem ?? null, until)),
    host: tools,
    files,
    ssh,
    secured: null,
    close: () => ssh.close(),
  };
}

/** The certificates are the second file of the programs. */
const caPath = '/dev/fd/4';

/** There the program itself speaks TLS, with what its family calls the modes. */
function farTls(flavor: ToolFlavor, { mode, caPem }: TlsPolicy): string[] {
  const ca = caPem === null ? [] : [`ssl-ca=${caPath}`];
  if (flavor === 'mysql') {
    const modes = {
      disabled: 'DISABLED',
      preferred: 'PREFERRED',
      required: 'REQUIRED',
      verify_ca: 'VERIFY_CA',
      verify_full: 'VERIFY_IDENTITY',
    };
    return [`ssl-mode=${modes[mode]}`, ...ca];
  }
  if (mode === 'disabled') return ['skip-ssl'];
  if (mode === 'preferred') return [];
  // MariaDB's programs know no TLS without the name: what is less than asked for is never done.
  return mode === 'required' ? ['ssl'] : ['ssl', 'ssl-verify-server-cert', ...ca];
}

function policyOf({ tls, ca_pem, host }: MysqlTarget): TlsPolicy {
  return { mode: tls, caPem: ca_pem, host };
}
