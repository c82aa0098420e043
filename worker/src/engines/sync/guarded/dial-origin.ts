import { readFileSync } from 'node:fs';
import { isIP, type Socket } from 'node:net';
import { createSecureContext, getCACertificates, type SecureContext, connect as tlsConnect } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import { type DialOptions, networkError } from '../../../net/dial.ts';
import type { AddressGuard } from '../../../net/guard.ts';

/** A server that speaks HTTP. */
export interface Place {
  readonly secure: boolean;
  /** A name, or an address without brackets. */
  readonly host: string;
  readonly port: number;
}

/** Where Debian keeps the certificates that the system trusts. */
export const systemCertificates = '/etc/ssl/certs/ca-certificates.crt';

/** What rclone would trust, and the authorities given here. */
export function trustOf(...caPems: readonly (string | null | undefined)[]): SecureContext {
  const given = caPems.filter((pem) => pem != null);
  return createSecureContext({ ca: [...usualAuthorities(), ...given] });
}

function usualAuthorities(): string[] {
  try {
    return [...getCACertificates('default'), readFileSync(systemCertificates, 'utf8')];
  } catch {
    // This system keeps them elsewhere; Node's own are there.
    return getCACertificates('default');
  }
}

export interface OriginOptions extends DialOptions {
  /** It has shown before that it speaks TLS and is who it should be. */
  readonly hasSpoken?: boolean;
}

/** Connects through the guard, encrypted where the place is. Throws what the guard throws, SOURCE_TLS_FAILED. */
export async function dialOrigin(
  guard: AddressGuard,
  place: Place,
  trust: () => SecureContext,
  options: OriginOptions,
): Promise<Socket> {
  const plain = await guard.dial(place.host, place.port, options);
  if (!place.secure) return plain;
  try {
    return await encrypted(plain, place.host, trust(), options);
  } catch (error) {
    plain.destroy();
    options.signal.throwIfAborted();
    throw tlsError(error, place, options.hasSpoken ?? false);
  }
}

function encrypted(
  socket: Socket,
  host: string,
  secureContext: SecureContext,
  { timeoutMs, signal }: DialOptions,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const servername = isIP(host) === 0 ? { servername: host } : {};
  const secured = tlsConnect({ socket, host, ...servername, secureContext, ALPNProtocols: ['http/1.1'] });
  const onAbort = () => reject(signal.reason);
  const timer = setTimeout(() => reject(new XVaultError('SOURCE_TIMEOUT', { detail: `TLS with ${host}` })), timeoutMs);
  signal.addEventListener('abort', onAbort, { once: true });
  secured.once('secureConnect', () => resolve(secured));
  secured.once('error', reject);
  secured.once('close', () => reject(new XVaultError('SOURCE_UNREACHABLE', { detail: `${host} closed during TLS` })));
  return promise.finally(() => {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
    secured.off('error', reject);
  });
}

const broken = new Set(['ECONNRESET', 'EPIPE', 'ETIMEDOUT']);

/**
 * A connection that broke may be better the next time, and so may one that is odd at a server that was not odd before; a
 * certificate will be the same.
 */
function tlsError(error: unknown, { host, port }: Place, hasSpoken: boolean): XVaultError {
  if (error instanceof XVaultError) return error;
  const { code = 'unknown', message } = error as NodeJS.ErrnoException;
  const what = `TLS with ${host} port ${port}`;
  if (broken.has(code)) return networkError(error, what);
  const detail = `${what}: ${code} ${message}`.slice(0, 500);
  const isCertificate = /CERT|SELF_SIGNED|^UNABLE_TO_/.test(code);
  return new XVaultError(hasSpoken && !isCertificate ? 'SOURCE_UNREACHABLE' : 'SOURCE_TLS_FAILED', {
    detail,
    cause: error,
  });
}
