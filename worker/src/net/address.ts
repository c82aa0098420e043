import { isIPv4, isIPv6 } from 'node:net';

/** An address as its bytes: 4 of IPv4, 16 of IPv6. */
export type AddressBytes = readonly number[];

export interface Cidr {
  readonly bytes: AddressBytes;
  readonly prefixBits: number;
}

/** The bytes of a textual address (a zone such as `%eth0` is dropped), undefined where it is none. */
export function parseAddress(text: string): AddressBytes | undefined {
  const bare = text.split('%', 1)[0] ?? '';
  if (isIPv4(bare)) return bare.split('.').map(Number);
  if (!isIPv6(bare)) return undefined;
  const [head = '', tail] = bare.split('::', 2);
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  return [...front, ...new Array<number>(16 - front.length - back.length).fill(0), ...back];
}

/** Throws where `text` is not `address/bits`. A bare address stands for itself alone. */
export function parseCidr(text: string): Cidr {
  const [address = '', bits] = text.split('/', 2);
  const bytes = parseAddress(address);
  const prefixBits = bits === undefined ? (bytes?.length ?? 0) * 8 : Number(bits);
  const valid = bytes && (bits === undefined || /^\d{1,3}$/.test(bits)) && prefixBits <= bytes.length * 8;
  if (!valid) throw new TypeError(`not an address range: ${text}`);
  return { bytes, prefixBits };
}

export function cidrContains(range: Cidr, address: AddressBytes): boolean {
  if (range.bytes.length !== address.length) return false;
  for (let bit = 0; bit < range.prefixBits; bit += 8) {
    const mask = 0xff00 >> Math.min(8, range.prefixBits - bit);
    const at = bit / 8;
    if ((((range.bytes[at] ?? 0) ^ (address[at] ?? 0)) & mask & 0xff) !== 0) return false;
  }
  return true;
}

const mapped = parseCidr('::ffff:0:0/96');
const nat64 = parseCidr('64:ff9b::/96');
const sixToFour = parseCidr('2002::/16');

/** `::ffff:a.b.c.d` as the IPv4 address that it is; any other unchanged. */
export function unmapAddress(address: AddressBytes): AddressBytes {
  return cidrContains(mapped, address) ? address.slice(12) : address;
}

/** The IPv4 address that a translating gateway (NAT64, 6to4) would reach through this IPv6 address. */
export function embeddedIpv4(address: AddressBytes): AddressBytes | undefined {
  if (cidrContains(nat64, address)) return address.slice(12);
  if (cidrContains(sixToFour, address)) return address.slice(2, 6);
  return undefined;
}

function groups(text: string): number[] {
  if (text === '') return [];
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return group.split('.').map(Number);
    const value = Number.parseInt(group, 16);
    return [value >> 8, value & 0xff];
  });
}
