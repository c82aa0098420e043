import { type LookupAddress, lookup as systemLookup } from 'node:dns';
import { type AgentOptions, Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { Duplex } from 'node:stream';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { AddressGuard } from './guard.ts';

export interface GuardedAgents {
  readonly http: HttpAgent;
  readonly https: HttpsAgent;
  close(): void;
}

/** Idle connections end by themselves, so that whoever made them need not. */
const idleSocketMs = 30_000;

type Connected = (error: Error | null, stream: Duplex) => void;

/** Resolves as the system does, but gives only addresses that the guard allows: what is checked is what is dialled. */
function guardedLookup(guard: AddressGuard): LookupFunction {
  return (hostname, options, callback) => {
    systemLookup(hostname, { ...options, all: true }, (error, found: LookupAddress[]) => {
      const addresses = error ? [] : found.filter(({ address }) => guard.allows(address));
      const [first] = addresses;
      if (first === undefined) callback(error ?? forbidden(hostname), '', 0);
      else if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

/**
 * Agents of HTTP clients whose every connection, also one after a redirect, goes through the guard; null is none, for
 * addresses that the operator gave. A forbidden address fails the request with SOURCE_ADDRESS_FORBIDDEN.
 */
export function createGuardedAgents(
  guard: AddressGuard | null,
  options: { readonly caPem?: string | null } = {},
): GuardedAgents {
  const settings: AgentOptions = { keepAlive: true, keepAliveMsecs: 1000, maxSockets: 64, timeout: idleSocketMs };
  if (guard !== null) settings.lookup = guardedLookup(guard);
  const http = new HttpAgent(settings);
  const https = new HttpsAgent(options.caPem == null ? settings : { ...settings, ca: options.caPem });
  if (guard !== null) for (const agent of [http, https]) refuseLiterals(agent, guard);
  return {
    http,
    https,
    close() {
      http.destroy();
      https.destroy();
    },
  };
}

/** Addresses that are written as such are never looked up. */
function refuseLiterals(agent: HttpAgent, guard: AddressGuard): void {
  const connect = agent.createConnection.bind(agent);
  agent.createConnection = (options, callback) => {
    const host = 'host' in options ? String(options.host) : '';
    if (isIP(host) === 0 || guard.allows(host)) return connect(options, callback);
    (callback as Connected | undefined)?.(forbidden(host), undefined as never);
    return undefined;
  };
}

function forbidden(host: string): XVaultError {
  return new XVaultError('SOURCE_ADDRESS_FORBIDDEN', { detail: `${host}: no address that workers may reach` });
}
