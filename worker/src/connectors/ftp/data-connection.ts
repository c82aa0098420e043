import type { Socket } from 'node:net';
import { TLSSocket, connect as tlsConnect } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FTPContext, FTPResponse } from 'basic-ftp';
import type { AddressGuard } from '../../net/guard.ts';
import { isRefusal } from './errors.ts';

export interface DataConnections {
  readonly guard: AddressGuard;
  /** The checked address that the control connection goes to. */
  readonly address: string;
  readonly timeoutMs: number;
}

/**
 * Opens passive data connections, always to the address of the control connection: what a server says of another one is
 * either a mistake of its network or an attempt to have this worker reach somebody else.
 */
export function passiveMode({ guard, address, timeoutMs }: DataConnections): (ftp: FTPContext) => Promise<FTPResponse> {
  let extended = true;
  return async (ftp) => {
    const answer = extended ? await ftp.request('EPSV').catch(fallBack) : await ftp.request('PASV');
    const reply = answer ?? (await ftp.request('PASV'));
    if (answer === undefined) extended = false;
    const port = portOf(reply.message);
    const plain = await guard.dial(address, port, { timeoutMs, signal: AbortSignal.timeout(timeoutMs) });
    if (ftp.closed) {
      plain.destroy();
      throw new XVaultError('SOURCE_LOST', { detail: 'the control connection has ended' });
    }
    ftp.dataSocket = ftp.socket instanceof TLSSocket ? encrypted(ftp, ftp.socket, plain) : plain;
    return reply;
  };
}

function fallBack(error: unknown): undefined {
  if (!isRefusal(error)) throw error;
}

/** Servers want the TLS session of the control connection: so they know that it is the same client. */
function encrypted(ftp: FTPContext, control: TLSSocket, plain: Socket): TLSSocket {
  const session = ftp.tlsSessionStore ?? control.getSession();
  const socket = tlsConnect({ ...ftp.tlsOptions, socket: plain, ...(session !== undefined && { session }) });
  // With TLS 1.3 a session serves once; the server sends the next one.
  socket.on('session', (next) => {
    ftp.tlsSessionStore = next;
  });
  return socket;
}

/** Of `229 … (|||port|)` or `227 … (h1,h2,h3,h4,p1,p2)`. */
function portOf(message: string): number {
  const extended = /[|!]{3}(\d{1,5})[|!]/.exec(message)?.[1];
  const plain = /(?<!\d)(?:\d{1,3},){4}(\d{1,3}),(\d{1,3})/.exec(message);
  const port = extended === undefined ? Number(plain?.[1]) * 256 + Number(plain?.[2]) : Number(extended);
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new XVaultError('SOURCE_PROTOCOL', { detail: 'no port for a data connection' });
}
