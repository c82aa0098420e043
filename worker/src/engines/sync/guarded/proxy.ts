import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { SecureContext } from 'node:tls';
import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import type { AddressGuard } from '../../../net/guard.ts';
import { asStorageError } from '../sides/storage-error.ts';
import { dialOrigin, type Place, trustOf } from './dial-origin.ts';
import { bodyOf } from './http-body.ts';
import { parseRequest, type RequestHead, valuesOf } from './http-head.ts';
import { OriginPool } from './origin-pool.ts';
import { refuse, relay } from './relay.ts';
import { type Plan, planRoutes, type Role, type Route, roleOf, routeOf, type WebEnd } from './routes.ts';
import { Wire } from './wire.ts';

const dialTimeoutMs = 20_000;
/** A server that is gone would be told of for each request. */
const maxNotes = 50;

/** An HTTP proxy on loopback for one run, which dials through the guard and so reaches nothing that a source may not. */
export interface GuardedProxy {
  /** With its own credentials, for `HTTP_PROXY` and `HTTPS_PROXY`. */
  readonly url: string;
  /** What rclone is given instead of the URL of each end. */
  readonly urls: ReadonlyMap<Role, string>;
  /** What rclone wanted and was kept from; the run cannot go on then, whatever rclone makes of it. */
  refusal(): XVaultError | null;
  /** Why a server of the run cannot be connected to, where the last try of it failed. Another one may change it. */
  dialError(): XVaultError | null;
  close(): Promise<void>;
}

export interface ProxyOptions {
  readonly guard: AddressGuard;
  /** The servers of the run, for which the proxy itself speaks TLS. */
  readonly ends: readonly WebEnd[];
  /** Whether rclone may speak to others as well, as far as the guard allows. */
  readonly opensTunnels: boolean;
  /** Servers that rclone speaks to without the proxy. */
  readonly direct?: readonly Place[];
  readonly extraCaPem?: string | undefined;
  /** For operators. */
  readonly note: (words: string) => void;
}

export async function openGuardedProxy(options: ProxyOptions): Promise<GuardedProxy> {
  const run = new ProxiedRun(options);
  const open = new Set<Socket>();
  const server = createServer({ noDelay: true }, (socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    run.serve(new Wire(socket)).catch((error: unknown) => {
      // What rclone itself has left is no fault.
      if (!socket.destroyed) run.failed(error);
      // An end in order could be taken for that of an answer.
      socket.resetAndDestroy();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('a listening server has no port');
  return {
    url: `http://run:${run.password}@127.0.0.1:${address.port}`,
    urls: run.plan.urls,
    refusal: () => run.refusal,
    dialError: () => run.dialError,
    async close() {
      run.close();
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

class ProxiedRun {
  readonly password = randomBytes(24).toString('hex');
  readonly plan: Plan;
  refusal: XVaultError | null = null;
  readonly #options: ProxyOptions;
  readonly #stop = new AbortController();
  readonly #wanted: Buffer;
  readonly #pools = new Map<Route, OriginPool>();
  readonly #tunnels = new Set<Duplex>();
  /** By what was to be reached. */
  readonly #dialErrors = new Map<string, XVaultError>();
  #notes = 0;

  constructor(options: ProxyOptions) {
    this.#options = options;
    this.plan = planRoutes(options.ends, options.direct);
    this.#wanted = Buffer.from(`Basic ${Buffer.from(`run:${this.password}`).toString('base64')}`);
  }

  /** One connection of rclone's, to its end. */
  async serve(near: Wire): Promise<void> {
    for (let goesOn = true; goesOn; ) {
      const head = await near.readHead();
      if (head === null) return;
      const request = parseRequest(head);
      if (!this.#isOurs(request)) {
        near.socket.end('HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
        return;
      }
      if (request.method === 'CONNECT') return this.#tunnel(near, request);
      goesOn = await this.#forward(near, request);
    }
  }

  async #forward(near: Wire, request: RequestHead): Promise<boolean> {
    const { plan } = this;
    const [, authority = '', path = ''] = /^http:\/\/([^/?#@]+)([^#]*)$/i.exec(request.target) ?? [];
    const route = routeOf(plan, authority);
    if (route === undefined) {
      await this.#refuseAddress(near, request);
      return false;
    }
    const asked = path.startsWith('/') ? path : `/${path}`;
    const to = { plan, route, pool: this.#poolOf(route), onRefused: (error: XVaultError) => this.#refused(error) };
    try {
      return await relay(near, request, asked, to);
    } catch (error) {
      const told = roleOf(route, asked) === 'destination' ? asStorageError(error) : error;
      this.#dialled(route.plain, told);
      if (!isFinal(told)) throw told;
      // Nothing was answered yet, and rclone need not try again.
      this.failed(told);
      await refuse(near.socket, 'address', request.method);
      return false;
    }
  }

  async #tunnel(near: Wire, request: RequestHead): Promise<void> {
    const target = `https://${request.target}`;
    if (!this.#options.opensTunnels || !URL.canParse(target)) return this.#refuseAddress(near, request);
    const { hostname, port } = new URL(target);
    const host = hostname.replace(/^\[|\]$/g, '');
    let far: Wire;
    try {
      const limits = { timeoutMs: dialTimeoutMs, signal: this.#stop.signal };
      far = new Wire(await this.#options.guard.dial(host, Number(port || 443), limits));
      this.#dialled(request.target, null);
    } catch (error) {
      this.failed(error);
      this.#dialled(request.target, error);
      // Of this answer rclone says the words alone.
      near.socket.end(`HTTP/1.1 502 ${wordsOf(error)}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`);
      return;
    }
    this.#tunnels.add(far.socket);
    far.socket.once('close', () => this.#tunnels.delete(far.socket));
    near.socket.write('HTTP/1.1 200 Connection Established\r\n\r\n');
    await Promise.all([passAll(near, far), passAll(far, near)]);
  }

  async #refuseAddress(near: Wire, { method, target }: RequestHead): Promise<void> {
    // Its path and query may hold a signature.
    const where = /^(?:http:\/\/)?[^/?#]*/i.exec(target)?.[0] ?? '';
    const detail = `rclone asked for ${where}, which is no server of the run`.slice(0, 500);
    this.#refused(new XVaultError('SOURCE_ADDRESS_FORBIDDEN', { detail }));
    await refuse(near.socket, 'address', method);
  }

  #poolOf(route: Route): OriginPool {
    const known = this.#pools.get(route);
    if (known !== undefined) return known;
    const { guard } = this.#options;
    const { extraCaPem } = this.#options;
    let trust: SecureContext | null = null;
    const trusted = () => {
      trust ??= trustOf(extraCaPem, ...route.ends.map(({ caPem }) => caPem));
      return trust;
    };
    let hasSpoken = false;
    const pool = new OriginPool(async () => {
      const limits = { timeoutMs: dialTimeoutMs, signal: this.#stop.signal };
      const socket = await dialOrigin(guard, route.place, trusted, { ...limits, hasSpoken });
      hasSpoken = true;
      this.#dialled(route.plain, null);
      return socket;
    });
    this.#pools.set(route, pool);
    return pool;
  }

  #isOurs({ fields }: RequestHead): boolean {
    const given = Buffer.from(valuesOf(fields, 'proxy-authorization')[0] ?? '');
    return given.length === this.#wanted.length && timingSafeEqual(given, this.#wanted);
  }

  get dialError(): XVaultError | null {
    return [...this.#dialErrors.values()].at(-1) ?? null;
  }

  /** Errors of another kind come after dialling. */
  #dialled(where: string, error: unknown): void {
    if (error === null) this.#dialErrors.delete(where);
    else if (error instanceof XVaultError) this.#dialErrors.set(where, error);
  }

  /** Remembers what another try would not change. */
  failed(error: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (isFinal(error)) this.#refused(error);
    else this.#note(error instanceof XVaultError ? `${error.code} ${error.detail ?? ''}` : String(error));
  }

  #refused(error: XVaultError): void {
    this.refusal ??= error;
    this.#note(`refused: ${error.code} ${error.detail ?? ''}`);
  }

  #note(words: string): void {
    this.#notes += 1;
    if (this.#notes <= maxNotes) this.#options.note(`address guard: ${words}`);
  }

  close(): void {
    this.#stop.abort();
    for (const pool of this.#pools.values()) pool.close();
    for (const socket of this.#tunnels) socket.destroy();
  }
}

/** What dialling says that another try would not change. */
function isFinal(error: unknown): error is XVaultError {
  return error instanceof XVaultError && !error.retryable;
}

const words: Partial<Record<ErrorCode, string>> = {
  SOURCE_HOST_UNKNOWN: 'no such host',
  SOURCE_CONNECTION_REFUSED: 'connection refused',
  SOURCE_TIMEOUT: 'timed out',
};

/** In words that are understood again where rclone's are read. */
function wordsOf(error: unknown): string {
  return (error instanceof XVaultError ? words[error.code] : undefined) ?? 'connection lost';
}

/** Until one end of a tunnel closes, in one direction. */
async function passAll(from: Wire, to: Wire): Promise<void> {
  try {
    await from.pass(bodyOf({ kind: 'until_close' }), to.socket);
    to.socket.end();
  } catch {
    // It broke off, and so must what leads on from it.
    to.socket.destroy();
  }
}
