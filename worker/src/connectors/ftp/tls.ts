import { isIP, type Socket } from 'node:net';
import {
  type ConnectionOptions,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  type TLSSocket,
  connect as tlsConnect,
} from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FtpConfig } from '@xvault/shared/sources.ts';

/** What data connections go on with: servers know by it that it is the same client. */
export interface TlsState {
  tlsOptions: ConnectionOptions;
  tlsSessionStore: Buffer | undefined;
}

export function tlsOptionsOf(config: FtpConfig, trust: SecureContext = trustOf(config)): ConnectionOptions {
  const { host, tls_verify } = config;
  return {
    host,
    ...(isIP(host) === 0 && { servername: host }),
    rejectUnauthorized: tls_verify,
    // Once for all data connections: reading the authorities takes longer than a small file.
    secureContext: trust,
  };
}

function trustOf({ ca_pem }: FtpConfig): SecureContext {
  return createSecureContext(ca_pem === null ? {} : { ca: [...getCACertificates('default'), ca_pem] });
}

/**
 * Encrypts a control connection. `onSession` is told of each session that the server offers, also later. Throws what node:tls
 * does, SOURCE_TLS_FAILED, or the signal's reason; the connection is then still to be closed.
 */
export async function encryptControl(
  plain: Socket,
  options: ConnectionOptions,
  onSession: (session: Buffer) => void,
  stop: AbortSignal,
): Promise<TLSSocket> {
  const socket = tlsConnect({ ...options, socket: plain });
  socket.on('session', onSession);
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(stop.reason);
    const onClose = () => reject(new XVaultError('SOURCE_TLS_FAILED', { detail: 'closed during the handshake' }));
    stop.addEventListener('abort', onAbort, { once: true });
    socket.once('error', reject);
    socket.once('close', onClose);
    socket.once('secureConnect', () => {
      stop.removeEventListener('abort', onAbort);
      socket.removeListener('error', reject);
      socket.removeListener('close', onClose);
      resolve();
    });
  });
  return socket;
}
