import { lookup } from 'node:dns/promises';
import { isIP, connect as netConnect, type Socket } from 'node:net';
import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { untilAborted } from './until-aborted.ts';

export interface DialOptions {
  /** For name resolution and connecting together. */
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

const codesBySystemError: Record<string, ErrorCode> = {
  ENOTFOUND: 'SOURCE_HOST_UNKNOWN',
  ENODATA: 'SOURCE_HOST_UNKNOWN',
  EAI_AGAIN: 'SOURCE_HOST_UNKNOWN',
  EAI_NODATA: 'SOURCE_HOST_UNKNOWN',
  ECONNREFUSED: 'SOURCE_CONNECTION_REFUSED',
  ETIMEDOUT: 'SOURCE_TIMEOUT',
};

/** What the customer can do something about comes first when several addresses fail in different ways. */
const tellingOrder: readonly ErrorCode[] = ['SOURCE_CONNECTION_REFUSED', 'SOURCE_TIMEOUT', 'SOURCE_UNREACHABLE'];

/** An error of name resolution or of a socket, before anything was said on it. */
export function networkError(cause: unknown, what: string): XVaultError {
  if (cause instanceof XVaultError) return cause;
  const systemCode = (cause as NodeJS.ErrnoException).code ?? 'unknown';
  return new XVaultError(codesBySystemError[systemCode] ?? 'SOURCE_UNREACHABLE', {
    detail: `${what}: ${systemCode}`,
    cause,
  });
}

/** All addresses of a host, in the system's order. */
export async function resolveHost(host: string, options: DialOptions): Promise<string[]> {
  if (isIP(host) !== 0) return [host];
  // getaddrinfo cannot be cancelled, so its answer is dropped when time is over.
  const timeout = AbortSignal.timeout(options.timeoutMs);
  try {
    const found = await untilAborted(lookup(host, { all: true }), AbortSignal.any([options.signal, timeout]));
    return found.map(({ address }) => address);
  } catch (error) {
    options.signal.throwIfAborted();
    if (timeout.aborted) throw new XVaultError('SOURCE_TIMEOUT', { detail: `resolving ${host} took too long` });
    throw networkError(error, `resolving ${host}`);
  }
}

/** Tries the addresses in turn, each with its share of the time that is left. `deadline` is of `performance.now()`. */
export async function connectFirst(
  addresses: readonly string[],
  port: number,
  deadline: number,
  signal: AbortSignal,
): Promise<Socket> {
  const failures: XVaultError[] = [];
  for (const [tried, address] of addresses.entries()) {
    const shareMs = Math.max(1, (deadline - performance.now()) / (addresses.length - tried));
    try {
      return await connectOne(address, port, shareMs, signal);
    } catch (error) {
      signal.throwIfAborted();
      failures.push(networkError(error, `connecting to ${address} port ${port}`));
    }
  }
  const rank = (error: XVaultError) => tellingOrder.indexOf(error.code);
  throw (
    failures.sort((a, b) => rank(a) - rank(b))[0] ?? new XVaultError('SOURCE_UNREACHABLE', { detail: 'no address' })
  );
}

function connectOne(address: string, port: number, timeoutMs: number, signal: AbortSignal): Promise<Socket> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const socket = netConnect({ host: address, port, noDelay: true });
    const fail = (error: unknown) => {
      settle();
      socket.destroy();
      reject(error);
    };
    const onAbort = () => fail(signal.reason);
    const timer = setTimeout(() => {
      fail(new XVaultError('SOURCE_TIMEOUT', { detail: `connecting to ${address} port ${port} took too long` }));
    }, timeoutMs);
    const settle = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      socket.removeListener('error', fail);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    socket.once('error', fail);
    socket.once('connect', () => {
      settle();
      resolve(socket);
    });
  });
}
