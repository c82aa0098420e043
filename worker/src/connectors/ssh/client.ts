import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { ClientChannel } from 'ssh2';
import type { AddressGuard } from '../../net/guard.ts';
import { authHandler, type SshCredentials } from './auth.ts';
import { HostKeyRefused, handshake, type SshConnection } from './connection.ts';
import { type ExecOptions, type RemoteProcess, remoteProcess } from './exec.ts';
import { type HostKeyPolicy, hostKeyAlgorithms, rememberedKeyType } from './host-key.ts';
import type { SshTimeouts } from './timeouts.ts';

export type { ExecOptions, RemoteExit, RemoteProcess } from './exec.ts';
export type { HostKeyPolicy } from './host-key.ts';
export { defaultSshTimeouts, type SshTimeouts } from './timeouts.ts';

/** Where to log in: the part that all configs of sources over SSH share. */
export interface SshEndpoint {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly jump: {
    readonly host: string;
    readonly port: number;
    readonly user: string;
    readonly host_key: string;
  } | null;
}

export interface SshTarget {
  readonly config: SshEndpoint;
  /** `jump` where the jump host wants other credentials than the server. */
  readonly secret: SshCredentials & { readonly jump?: SshCredentials | undefined };
  readonly hostKey: HostKeyPolicy;
}

/** One login, on which any number of channels can be opened. Every method throws SOURCE_LOST once it is lost. */
export interface SshClient {
  /** `SHA256:…` of the server's key. */
  readonly fingerprint: string;
  /** The key that was checked, and soon after the login those of other kinds that the server has proven to hold. */
  hostKeys(): readonly Buffer[];
  /** The server's software, as in its greeting. */
  readonly server: string | null;
  /** The SFTP subsystem, its bytes not yet looked at (see `openSftpWire`). Throws SOURCE_PROTOCOL where there is none. */
  openSftp(signal: AbortSignal): Promise<ClientChannel>;
  /** Starts a command in the user's login shell. Throws SOURCE_PROTOCOL where the server runs none. */
  exec(command: string, options: ExecOptions): Promise<RemoteProcess>;
  /** A TCP connection from the server to somewhere. Throws SOURCE_CONNECTION_REFUSED, SOURCE_PROTOCOL where it is forbidden. */
  forward(host: string, port: number, signal: AbortSignal): Promise<Duplex>;
  /** All that is written until the end of this turn of the event loop leaves together. */
  gather(): void;
  lost(): XVaultError | undefined;
  /** Calls back once, at once if it is lost already. Returns how to stop listening. */
  onLost(listener: (error: XVaultError) => void): () => void;
  close(): Promise<void>;
}

/**
 * Dials, through the jump host if there is one, checks the host keys and logs in. Throws XVaultError (SOURCE_…, SSH_…;
 * the detail names the jump host where it is that), or the signal's reason.
 */
export async function connectSsh(
  guard: AddressGuard,
  target: SshTarget,
  timeouts: SshTimeouts,
  signal: AbortSignal,
): Promise<SshClient> {
  const { config, secret, hostKey } = target;
  checkCredentials(config, secret);
  const dial = (host: string, port: number) => guard.dial(host, port, { timeoutMs: timeouts.connectMs, signal });
  const { jump } = config;
  if (jump === null) {
    const open = () => dial(config.host, config.port);
    return logIn(open, [], { user: config.user, secret, hostKey, timeouts, signal });
  }
  const hop = await ofJumpHost(() => {
    const pinned = { pinned: jump.host_key, acceptUnknown: false };
    const login = { user: jump.user, secret: secret.jump ?? secret, hostKey: pinned, timeouts, signal };
    return logIn(() => dial(jump.host, jump.port), [], login);
  });
  try {
    const open = () => hop.forward(config.host, config.port, signal);
    const client = await logIn(open, [hop], { user: config.user, secret, hostKey, timeouts, signal });
    return {
      ...client,
      async close() {
        await client.close();
        await hop.close();
      },
    };
  } catch (error) {
    await hop.close();
    throw error;
  }
}

/** What cannot be a key is refused before anything is dialled. Throws SOURCE_KEY_INVALID. */
function checkCredentials({ user, jump }: SshEndpoint, secret: SshTarget['secret']): void {
  authHandler(user, secret);
  if (jump !== null && secret.jump) authHandler(jump.user, secret.jump);
}

interface Login {
  readonly user: string;
  readonly secret: SshCredentials;
  readonly hostKey: HostKeyPolicy;
  readonly timeouts: SshTimeouts;
  readonly signal: AbortSignal;
}

/** A server may hold keys of several kinds: the pinned one is asked for until the server has no other kind left. */
async function logIn(open: () => Promise<Duplex>, hops: readonly SshClient[], login: Login): Promise<SshClient> {
  const refusedTypes = new Set<string>();
  let refused: HostKeyRefused | undefined;
  for (;;) {
    const transport = await open();
    const algorithms = hostKeyAlgorithms(refusedTypes, rememberedKeyType(login.hostKey.pinned));
    try {
      const connection = await handshake({ ...login, transport, hostKeyAlgorithms: algorithms });
      return clientOf(connection, transport, hops, login.timeouts);
    } catch (error) {
      // With the refused kinds left out the server may have nothing to offer, or hang up on so many attempts.
      if (!(error instanceof HostKeyRefused)) throw refused && !login.signal.aborted ? refused.error : error;
      refused ??= error;
      const next = login.hostKey.pinned !== null && error.keyType !== undefined && !refusedTypes.has(error.keyType);
      if (!next || error.keyType === undefined) throw refused.error;
      refusedTypes.add(error.keyType);
      if (hostKeyAlgorithms(refusedTypes, undefined).length === 0) throw refused.error;
    }
  }
}

function clientOf(
  connection: SshConnection,
  transport: Duplex,
  hops: readonly SshClient[],
  timeouts: SshTimeouts,
): SshClient {
  const { client } = connection;
  let gathering = false;

  /** Opens a channel; one that comes after nobody waits for it any more is closed. */
  function channel<T extends Duplex>(
    what: string,
    signal: AbortSignal,
    start: (done: (error: Error | undefined, opened: T) => void) => void,
  ): Promise<T> {
    return new Promise((resolve, reject) => {
      let settled = false;
      const settle = (act: () => void) => {
        if (settled) return;
        settled = true;
        clearTimeout(timer);
        stopListening();
        signal.removeEventListener('abort', onAbort);
        act();
      };
      const fail = (error: unknown) => settle(() => reject(error));
      const onAbort = () => fail(signal.reason);
      const timer = setTimeout(() => {
        fail(new XVaultError('SOURCE_TIMEOUT', { detail: `${what} was not opened in ${timeouts.handshakeMs} ms` }));
      }, timeouts.handshakeMs);
      let stopListening: () => void = () => undefined;
      stopListening = connection.onLost(fail);
      if (signal.aborted) return onAbort();
      signal.addEventListener('abort', onAbort, { once: true });
      try {
        start((cause, opened) => {
          if (settled) opened?.destroy();
          else if (cause) fail(connection.lost() ?? channelError(what, cause));
          else settle(() => resolve(opened));
        });
      } catch (cause) {
        // ssh2 throws where the connection has gone.
        fail(connection.lost() ?? new XVaultError('SOURCE_LOST', { detail: `${what}: ${String(cause)}`, cause }));
      }
      return undefined;
    });
  }

  return {
    fingerprint: connection.fingerprint,
    hostKeys: connection.hostKeys,
    server: connection.server,
    async openSftp(signal) {
      const opened = await channel<ClientChannel>('SFTP', signal, (done) => client.subsys('sftp', asRaw(done)));
      opened.stderr.resume();
      return opened;
    },
    async exec(command, options) {
      let started: RemoteProcess | undefined;
      await channel<ClientChannel>('a command', options.signal, (done) => {
        client.exec(
          command,
          asRaw((error, opened) => {
            // At once: a short command's end may be in the packet that says that it began.
            if (!error) started = remoteProcess(opened, connection.lost, options);
            done(error, opened);
          }),
        );
      });
      if (!started) throw new Error('a command without a channel');
      return started;
    },
    forward: (host, port, signal) =>
      channel<ClientChannel>('a forwarded connection', signal, (done) => {
        client.forwardOut('127.0.0.1', 0, host, port, asRaw(done));
      }),
    gather() {
      if (gathering) return;
      gathering = true;
      transport.cork();
      for (const hop of hops) hop.gather();
      process.nextTick(() => {
        gathering = false;
        transport.uncork();
      });
    },
    lost: connection.lost,
    onLost: connection.onLost,
    close: connection.close,
  };
}

/** Types alone: ssh2 calls back with an error and nothing else, or with none and a channel. */
function asRaw(done: (error: Error | undefined, opened: ClientChannel) => void) {
  return (error: Error | undefined, opened: ClientChannel) => done(error, opened);
}

/** RFC 4254, 5.1: the server tried to connect and could not. */
const connectFailed = 2;

function channelError(what: string, cause: Error): XVaultError {
  const code = Reflect.get(cause, 'reason') === connectFailed ? 'SOURCE_CONNECTION_REFUSED' : 'SOURCE_PROTOCOL';
  return new XVaultError(code, { detail: `no ${what}: ${cause.message}`, cause });
}

async function ofJumpHost<T>(act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    if (!(error instanceof XVaultError)) throw error;
    const detail = `jump host: ${error.detail ?? error.code}`;
    throw new XVaultError(error.code, { detail, params: error.params, cause: error });
  }
}
