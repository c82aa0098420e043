import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { type ConnectionOptions, checkServerIdentity, type TLSSocket, connect as tlsConnect } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';

export type TlsMode = 'disabled' | 'preferred' | 'required' | 'verify_ca' | 'verify_full';

export interface TlsPolicy {
  readonly mode: TlsMode;
  /** Authorities of the customer's own; null for those that everybody trusts. */
  readonly caPem: string | null;
  /** The name that the customer gave: what a certificate has to be for under `verify_full`. */
  readonly host: string;
}

const handshakeMs = 30_000;

/** What the policy means to Node. */
export function tlsOptions({ mode, caPem, host }: TlsPolicy): ConnectionOptions {
  return {
    ...(caPem === null ? {} : { ca: caPem }),
    ...(isIP(host) === 0 ? { servername: host } : {}),
    rejectUnauthorized: mode === 'verify_ca' || mode === 'verify_full',
    checkServerIdentity:
      mode === 'verify_full' ? (_name, certificate) => checkServerIdentity(host, certificate) : () => undefined,
  };
}

/** TLS on a connection that is there. Throws SOURCE_TLS_FAILED, SOURCE_TIMEOUT. */
export async function upgradeToTls(plain: Duplex, policy: TlsPolicy): Promise<TLSSocket> {
  const secured = tlsConnect({ ...tlsOptions(policy), socket: plain });
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => secured.destroy(tlsTimeout()), handshakeMs);
    const fail = (cause: unknown) => {
      clearTimeout(timer);
      reject(cause instanceof XVaultError ? cause : tlsFailed(cause));
    };
    secured.once('error', fail);
    secured.once('close', () => fail(new Error('the server hung up')));
    secured.once('secureConnect', () => {
      clearTimeout(timer);
      secured.removeListener('error', fail);
      secured.on('error', () => undefined);
      resolve();
    });
  });
  return secured;
}

export function tlsFailed(cause: unknown): XVaultError {
  const words = cause instanceof Error ? cause.message : String(cause);
  return new XVaultError('SOURCE_TLS_FAILED', { detail: `TLS: ${words}`, cause });
}

/** Whether an error of Node is that of a certificate or handshake. */
export function isTlsError(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return /^(ERR_TLS_|ERR_SSL_|CERT_|UNABLE_TO_|DEPTH_ZERO_|SELF_SIGNED_|HOSTNAME_MISMATCH|EPROTO)/.test(code);
}

function tlsTimeout(): XVaultError {
  return new XVaultError('SOURCE_TIMEOUT', { detail: `TLS took longer than ${handshakeMs} ms` });
}
