import { expect, test } from 'vitest';
import { cidrContains, embeddedIpv4, parseAddress, parseCidr, unmapAddress } from './address.ts';

test.each([
  ['1.2.3.4', [1, 2, 3, 4]],
  ['::', new Array(16).fill(0)],
  ['::1', [...new Array(15).fill(0), 1]],
  ['fe80::1%eth0', [0xfe, 0x80, ...new Array(13).fill(0), 1]],
  ['2001:db8:1:2:3:4:5:6', [0x20, 1, 0x0d, 0xb8, 0, 1, 0, 2, 0, 3, 0, 4, 0, 5, 0, 6]],
  ['::ffff:10.0.0.1', [...new Array(10).fill(0), 255, 255, 10, 0, 0, 1]],
  ['64:ff9b::192.168.0.1', [0, 0x64, 0xff, 0x9b, ...new Array(8).fill(0), 192, 168, 0, 1]],
])('%s has its bytes', (text, bytes) => {
  expect(parseAddress(text)).toEqual(bytes);
});

test.each(['', 'localhost', '1.2.3', '1.2.3.4.5', '0x7f.1', '2130706433', ':::1', '1:2'])(
  '%j is no address',
  (text) => {
    expect(parseAddress(text)).toBeUndefined();
  },
);

test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/x', 'abc/8', '::/129', '10.0.0.0/-1'])('%j is no range', (text) => {
  expect(() => parseCidr(text)).toThrow(TypeError);
});

test('a range holds exactly the addresses with its leading bits', () => {
  const range = parseCidr('172.16.0.0/12');
  const inside = (text: string) => cidrContains(range, parseAddress(text) ?? []);
  expect(['172.16.0.0', '172.31.255.255'].map(inside)).toEqual([true, true]);
  expect(['172.15.255.255', '172.32.0.0', '::ac10:0'].map(inside)).toEqual([false, false, false]);
  expect(cidrContains(parseCidr('0.0.0.0/0'), [9, 9, 9, 9])).toBe(true);
  expect(cidrContains(parseCidr('10.1.2.3'), [10, 1, 2, 3])).toBe(true);
  expect(cidrContains(parseCidr('10.1.2.3'), [10, 1, 2, 4])).toBe(false);
});

test('IPv4 inside of IPv6 is found', () => {
  expect(unmapAddress(parseAddress('::ffff:7f00:1') ?? [])).toEqual([127, 0, 0, 1]);
  expect(embeddedIpv4(parseAddress('64:ff9b::7f00:1') ?? [])).toEqual([127, 0, 0, 1]);
  expect(embeddedIpv4(parseAddress('2002:a00:1::') ?? [])).toEqual([10, 0, 0, 1]);
  expect(embeddedIpv4(parseAddress('2606:4700::1') ?? [])).toBeUndefined();
});
