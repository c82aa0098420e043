import type { Socket } from 'node:net';
import { XVaultError } from '@xvault/shared/errors.ts';
import { cidrContains, embeddedIpv4, parseAddress, parseCidr, unmapAddress } from './address.ts';
import { connectFirst, type DialOptions, resolveHost } from './dial.ts';

/** Ranges where a customer's server cannot be, but the platform's own machines can. */
const refusedRanges = [
  '0.0.0.0/8', // this network, unspecified
  '10.0.0.0/8', // private
  '100.64.0.0/10', // carrier-grade NAT
  '127.0.0.0/8', // loopback
  '169.254.0.0/16', // link-local, cloud metadata
  '172.16.0.0/12', // private
  '192.0.0.0/24', // protocol assignments
  '192.0.2.0/24', // documentation
  '192.88.99.0/24', // 6to4 relays
  '192.168.0.0/16', // private
  '198.18.0.0/15', // benchmarks
  '198.51.100.0/24', // documentation
  '203.0.113.0/24', // documentation
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
  '::/96', // unspecified, loopback, IPv4-compatible
  '64:ff9b:1::/48', // local NAT64
  '100::/64', // discard
  '2001::/32', // Teredo
  '2001:db8::/32', // documentation
  'fc00::/7', // unique local, cloud metadata
  'fe80::/10', // link-local
  'fec0::/10', // site-local
  'ff00::/8', // multicast
].map(parseCidr);

/** Keeps customers from using a worker to reach what is not theirs. */
export interface AddressGuard {
  /** Whether a worker may connect to this textual address. */
  allows(address: string): boolean;
  /**
   * Connects to a host. Only addresses that were checked are dialled, so a name that resolves differently a moment later
   * changes nothing. Throws SOURCE_ADDRESS_FORBIDDEN, SOURCE_HOST_UNKNOWN, SOURCE_CONNECTION_REFUSED, SOURCE_TIMEOUT,
   * SOURCE_UNREACHABLE, or the signal's reason.
   */
  dial(host: string, port: number, options: DialOptions): Promise<Socket>;
}

/** `allow`: address ranges that the operator opens although they are refused otherwise. Throws TypeError on a bad one. */
export function createAddressGuard(settings: { readonly allow: readonly string[] }): AddressGuard {
  const allowed = settings.allow.map(parseCidr);

  function allows(text: string): boolean {
    const parsed = parseAddress(text);
    if (!parsed) return false;
    const address = unmapAddress(parsed);
    if (allowed.some((range) => cidrContains(range, address))) return true;
    if (refusedRanges.some((range) => cidrContains(range, address))) return false;
    const inner = embeddedIpv4(address);
    return !inner || !refusedRanges.some((range) => cidrContains(range, inner));
  }

  async function dial(host: string, port: number, options: DialOptions): Promise<Socket> {
    const deadline = performance.now() + options.timeoutMs;
    const candidates = await resolveHost(host, options);
    const checked = candidates.filter(allows);
    if (checked.length === 0) {
      const detail = `${host} is ${candidates.join(', ')}: no address that workers may reach`;
      throw new XVaultError('SOURCE_ADDRESS_FORBIDDEN', { detail });
    }
    return connectFirst(checked, port, deadline, options.signal);
  }

  return { allows, dial };
}
