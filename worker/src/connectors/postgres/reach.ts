import type { Socket } from 'node:net';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { DatabaseSecret, PostgresConfig } from '@xvault/shared/sources.ts';
import type { AddressGuard } from '../../net/guard.ts';
import { localCopies, localTools, missing } from '../database/local-tools.ts';
import { remoteTools } from '../database/remote-tools.ts';
import { openSsh } from '../database/ssh-way.ts';
import type { TlsPolicy } from '../database/tls.ts';
import type { FoundTool, ToolHost } from '../database/tool-host.ts';
import { openTunnel } from '../database/tunnel.ts';
import type { SshClient } from '../ssh/client.ts';
import { conninfo, type PgPlace, toolEnvironment, toolFiles } from './conninfo.ts';
import { farSql, openSql, type Sql } from './sql.ts';
import { fitting } from './versions.ts';

export type PostgresTarget = PostgresConfig & { readonly host_key: string | null };

/** A server, reached as its config says. */
export interface PostgresReach {
  /** `until` in the place of the run's own signal, for what has to be done after that one. */
  openSql(database: string, until?: AbortSignal): Promise<Sql>;
  readonly host: ToolHost;
  /** The program in a version that can deal with `major`. Throws SOURCE_TOOL_MISSING. */
  tool(name: string, major: number): Promise<FoundTool>;
  readonly files: readonly string[];
  readonly env: (paths: readonly string[]) => Readonly<Record<string, string>>;
  readonly ssh: SshClient | null;
  close(): Promise<void>;
}

const connectMs = 20_000;

/** Throws SOURCE_…, SSH_…. Nothing is logged in to yet but SSH. */
export async function reachPostgres(
  guard: AddressGuard,
  target: PostgresTarget,
  secret: DatabaseSecret,
  acceptUnknown: boolean,
  signal: AbortSignal,
): Promise<PostgresReach> {
  if (target.via === 'direct') {
    const place = { host: target.host, port: target.port, address: await checkedAddress(guard, target, signal) };
    return reachFromHere(place, null, async () => undefined, target, secret, signal);
  }
  const ssh = await openSsh(guard, target, secret, acceptUnknown, signal);
  try {
    if (target.via === 'ssh_remote') return await reachOnFarSide(ssh, target, secret, signal);
    // Further connections are made until the tunnel is closed: what a stopped run leaves has to be removed.
    const life = new AbortController();
    const tunnel = await openTunnel('port', () => ssh.forward(target.host, target.port, life.signal));
    const place = { host: target.host, port: tunnel.port, address: '127.0.0.1' };
    const close = async () => {
      life.abort();
      await tunnel.close();
      await ssh.close();
    };
    const reach = reachFromHere(place, ssh, close, target, secret, signal);
    const open = (database: string, until?: AbortSignal) =>
      reach.openSql(database, until).catch((error: unknown) => {
        const failure = tunnel.failure();
        throw failure instanceof XVaultError ? failure : error;
      });
    return { ...reach, openSql: open };
  } catch (error) {
    await ssh.close();
    throw error;
  }
}

/** Programs then dial this very address, whatever the name resolves to a moment later. */
async function checkedAddress(guard: AddressGuard, target: PostgresTarget, signal: AbortSignal): Promise<string> {
  const socket: Socket = await guard.dial(target.host, target.port, { timeoutMs: connectMs, signal });
  socket.on('error', () => undefined);
  const { remoteAddress } = socket;
  socket.destroy();
  if (remoteAddress === undefined)
    throw new XVaultError('SOURCE_UNREACHABLE', { detail: 'the server hung up at once' });
  return remoteAddress;
}

function reachFromHere(
  place: PgPlace,
  ssh: SshClient | null,
  close: () => Promise<void>,
  target: PostgresTarget,
  secret: DatabaseSecret,
  signal: AbortSignal,
): PostgresReach {
  const policy = policyOf(target);
  return {
    openSql: (database, until = signal) =>
      openSql(place, { user: target.user, password: secret.password, database }, policy, until),
    host: localTools,
    async tool(name, major) {
      const copies = await localCopies([name], signal);
      if (copies.length === 0) throw missing([name]);
      return fitting(copies, major, name);
    },
    files: toolFiles(secret.password, policy),
    env: (paths) => toolEnvironment(target.user, place, policy, paths),
    ssh,
    close,
  };
}

async function reachOnFarSide(
  ssh: SshClient,
  target: PostgresTarget,
  secret: DatabaseSecret,
  signal: AbortSignal,
): Promise<PostgresReach> {
  const policy = policyOf(target);
  const host = remoteTools(ssh);
  const place = { host: target.host, address: null, port: target.port };
  const files = toolFiles(secret.password, policy);
  const env = (paths: readonly string[]) => toolEnvironment(target.user, place, policy, paths);
  const psql = await host.find(['psql'], signal);
  return {
    openSql: async (database, until = signal) =>
      farSql({ host, program: psql.program, files, env }, conninfo(database), until),
    host,
    tool: async (name, major) => fitting([await host.find([name], signal)], major, `${name} of the far side`),
    files,
    env,
    ssh,
    close: () => ssh.close(),
  };
}

function policyOf({ tls, ca_pem, host }: PostgresTarget): TlsPolicy {
  return { mode: tls, caPem: ca_pem, host };
}
