import type { Socket } from 'node:net';
import { TLSSocket, connect as tlsConnect } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FTPContext, FTPResponse } from 'basic-ftp';
import type { AddressGuard } from '../../net/guard.ts';
import { isRefusal } from './errors.ts';
import type { TlsState } from './tls.ts';

export interface DataConnections {
  readonly guard: AddressGuard;
  /** The checked address that the control connection goes to. */
  readonly address: string;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal;
}

/** The control connection to which data connections belong. */
export interface ControlConnection extends TlsState {
  readonly socket: Socket;
  readonly closed: boolean;
  /** Throws FTPError where the server refuses. */
  request(command: string): Promise<FTPResponse>;
}

export interface DataConnection {
  /** The server's words. */
  readonly reply: FTPResponse;
  readonly socket: Socket;
  /** What carries it: the same where nothing is encrypted. */
  readonly plain: Socket;
  /** Resolves when it may be ended: before that an end goes out without TLS's own, and servers take it for a loss. */
  readonly ready: Promise<void>;
}

export interface PassiveMode {
  /** As the library wants it; see {@link passiveDialer}. */
  prepare(ftp: FTPContext): Promise<FTPResponse>;
  /** Of the latest data connection. */
  ready(): Promise<void>;
}

export function passiveMode(settings: DataConnections): PassiveMode {
  const dial = passiveDialer(settings);
  let latest: Promise<void> = Promise.resolve();
  return {
    async prepare(ftp) {
      const { reply, socket, ready } = await dial(ftp);
      ftp.dataSocket = socket;
      latest = ready;
      return reply;
    },
    ready: () => latest,
  };
}

/**
 * Opens passive data connections, always to the address of the control connection: what a server says of another one is
 * either a mistake of its network or an attempt to have this worker reach somebody else. Throws FTPError, SOURCE_….
 */
export function passiveDialer({
  guard,
  address,
  timeoutMs,
  signal = never,
}: DataConnections): (ftp: ControlConnection) => Promise<DataConnection> {
  let extended = true;
  return async (ftp) => {
    const answer = extended ? await ftp.request('EPSV').catch(fallBack) : await ftp.request('PASV');
    const reply = answer ?? (await ftp.request('PASV'));
    if (answer === undefined) extended = false;
    const port = portOf(reply.message);
    const plain = await guard.dial(address, port, { timeoutMs, signal });
    if (ftp.closed) {
      plain.destroy();
      throw new XVaultError('SOURCE_LOST', { detail: 'the control connection has ended' });
    }
    if (!(ftp.socket instanceof TLSSocket)) return { reply, plain, socket: plain, ready: Promise.resolve() };
    const socket = encrypted(ftp, ftp.socket, plain);
    return { reply, plain, socket, ready: untilReady(socket) };
  };
}

const never = new AbortController().signal;

function fallBack(error: unknown): undefined {
  if (!isRefusal(error)) throw error;
}

/** Servers want the TLS session of the control connection: so they know that it is the same client. */
function encrypted(state: TlsState, control: TLSSocket, plain: Socket): TLSSocket {
  const session = state.tlsSessionStore ?? control.getSession();
  const socket = tlsConnect({ ...state.tlsOptions, socket: plain, ...(session !== undefined && { session }) });
  // With TLS 1.3 a session serves once; the server sends the next one.
  socket.on('session', (next) => {
    state.tlsSessionStore = next;
  });
  return socket;
}

/** Also when it is lost. Not from within the event itself, where TLS is not quite ready. */
function untilReady(socket: TLSSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.once('secureConnect', () => setImmediate(resolve));
    socket.once('close', resolve);
  });
}

/** Of `229 … (|||port|)` or `227 … (h1,h2,h3,h4,p1,p2)`. */
function portOf(message: string): number {
  const extended = /[|!]{3}(\d{1,5})[|!]/.exec(message)?.[1];
  const plain = /(?<!\d)(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})/.exec(message);
  const port = extended === undefined ? Number(plain?.[1]) * 256 + Number(plain?.[2]) : Number(extended);
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new XVaultError('SOURCE_PROTOCOL', { detail: 'no port for a data connection' });
}
