import { isIP, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { TlsPolicy } from '../database/tls.ts';
import { openTunnel, type Tunnel } from '../database/tunnel.ts';
import { encodePacket, offersTls, type Packet, readPacket } from './packets.ts';
import { logInThroughTls } from './tls-upgrade.ts';

/** How to reach the server, as far as TCP goes. */
export interface Dialler {
  dial(signal: AbortSignal): Promise<Duplex>;
  /** Whether tools of this machine may connect to the address that was dialled by themselves. */
  readonly direct: boolean;
}

/** Where a tool of this machine connects to, without TLS of its own. */
export type ToolPlace =
  | { readonly socket: string }
  /** Without a port the host is `localhost`, and the tool looks for its own socket. */
  | { readonly host: string; readonly port: number | null };

/** A way to a MySQL or MariaDB server for our own client and for tools alike, with the same checks for both. */
export interface MysqlLink {
  /** Whether what goes over the network is encrypted by TLS. */
  readonly secured: boolean;
  readonly toolPlace: ToolPlace;
  /** For the library: a connected stream, or the path of a socket; the latter counts as safe for a password. */
  clientPlace(): Promise<{ readonly stream: Duplex } | { readonly socketPath: string }>;
  /** Why a connection of a tool or of the library was not made, where it is the network's or TLS's doing. */
  failure(): XVaultError | undefined;
  close(): Promise<void>;
}

interface Greeted {
  readonly stream: Duplex;
  readonly greeting: Packet;
}

const greetingMs = 30_000;

/**
 * Looks at the server's greeting, and decides: TLS, by a door of our own whose other side is encrypted (so that the name in the
 * certificate, the authority and the dialled address are judged by us, whatever tool it is), or plainly where the mode lets us.
 */
export async function openMysqlLink(dialler: Dialler, policy: TlsPolicy, signal: AbortSignal): Promise<MysqlLink> {
  const first = await greet(dialler, signal);
  const tls = policy.mode !== 'disabled' && offersTls(first.greeting.payload);
  if (!tls && policy.mode !== 'disabled' && policy.mode !== 'preferred') {
    first.stream.destroy();
    throw new XVaultError('SOURCE_TLS_FAILED', { detail: 'the server does not offer TLS' });
  }
  // Further connections are made until the link is closed: what a stopped run leaves has to be removed.
  const life = new AbortController();
  const link = tls
    ? await securedLink(dialler, policy, first, life.signal)
    : await plainLink(dialler, first, life.signal);
  return {
    ...link,
    close() {
      life.abort();
      return link.close();
    },
  };
}

async function securedLink(
  dialler: Dialler,
  policy: TlsPolicy,
  first: Greeted,
  signal: AbortSignal,
): Promise<MysqlLink> {
  let waiting: Greeted | undefined = first;
  const tunnel = await openTunnel('socket', async (near) => {
    const { stream, greeting } = waiting ?? (await greet(dialler, signal));
    waiting = undefined;
    try {
      return await logInThroughTls(near, stream, greeting, policy);
    } catch (error) {
      stream.destroy();
      throw error;
    }
  });
  return {
    secured: true,
    toolPlace: { socket: tunnel.socketPath },
    clientPlace: async () => ({ socketPath: tunnel.socketPath }),
    failure: () => asFailure(tunnel),
    async close() {
      waiting?.stream.destroy();
      await tunnel.close();
    },
  };
}

async function plainLink(dialler: Dialler, first: Greeted, signal: AbortSignal): Promise<MysqlLink> {
  let waiting: Greeted | undefined = first;
  const connect = async () => {
    const { stream, greeting } = waiting ?? (await greet(dialler, signal));
    waiting = undefined;
    stream.unshift(encodePacket(greeting));
    return stream;
  };
  const address = dialler.direct && first.stream instanceof Socket ? addressOf(first.stream) : undefined;
  const tunnel = address === undefined ? await openTunnel('port', connect) : undefined;
  const close = async () => {
    waiting?.stream.destroy();
    await tunnel?.close();
  };
  if (tunnel === undefined && address === undefined) throw new Error('there is no way to the server');
  return {
    secured: false,
    toolPlace: address ?? { host: '127.0.0.1', port: tunnel?.port ?? 0 },
    clientPlace: async () => ({ stream: await connect() }),
    failure: () => (tunnel === undefined ? undefined : asFailure(tunnel)),
    close,
  };
}

async function greet(dialler: Dialler, signal: AbortSignal): Promise<Greeted> {
  const stream = await dialler.dial(signal);
  // Whoever reads from it hears of an end; between two readers nobody does.
  stream.on('error', () => undefined);
  const stop = () => stream.destroy(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
  const timer = setTimeout(() => {
    stream.destroy(new XVaultError('SOURCE_TIMEOUT', { detail: `no greeting came within ${greetingMs} ms` }));
  }, greetingMs);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const greeting = await readPacket(stream);
    if (greeting === null)
      throw new XVaultError('SOURCE_PROTOCOL', { detail: 'the server hung up without a greeting' });
    return { stream, greeting };
  } catch (error) {
    stream.destroy();
    signal.throwIfAborted();
    if (error instanceof XVaultError) throw error;
    throw new XVaultError('SOURCE_UNREACHABLE', { detail: `no greeting came: ${String(error)}`, cause: error });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
  }
}

function addressOf(socket: Socket): { host: string; port: number } | undefined {
  const { remoteAddress, remotePort } = socket;
  if (remoteAddress === undefined || remotePort === undefined || isIP(remoteAddress) === 0) return undefined;
  return { host: remoteAddress, port: remotePort };
}

function asFailure(tunnel: Tunnel): XVaultError | undefined {
  const failure = tunnel.failure();
  return failure instanceof XVaultError ? failure : undefined;
}
