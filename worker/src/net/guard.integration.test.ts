import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { connectFirst } from './dial.ts';
import { createAddressGuard } from './guard.ts';

const closed = createAddressGuard({ allow: [] });
const opened = createAddressGuard({ allow: ['127.0.0.0/8'] });
const { signal } = new AbortController();
const options = { timeoutMs: 10_000, signal };

let server: Server;
let port: number;
let connections = 0;

beforeAll(async () => {
  server = createServer((socket) => {
    connections += 1;
    socket.on('error', () => undefined);
    socket.end('hello');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  port = (server.address() as AddressInfo).port;
});

afterAll(() => {
  server.close();
});

test.each([
  '0.0.0.0',
  '10.1.2.3',
  '100.64.0.1',
  '127.0.0.1',
  '127.255.255.254',
  '169.254.169.254',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.1.1',
  '224.0.0.1',
  '255.255.255.255',
  '::',
  '::1',
  '::127.0.0.1',
  '::ffff:127.0.0.1',
  '::ffff:a9fe:a9fe',
  '64:ff9b::10.0.0.1',
  '2002:7f00:1::1',
  'fc00::1',
  'fd00:ec2::254',
  'fe80::1',
  'fe80::1%eth0',
  'ff02::1',
  'not an address',
])('%s is refused', (address) => {
  expect(closed.allows(address)).toBe(false);
});

test.each(['1.1.1.1', '8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700:4700::1111', '64:ff9b::8.8.8.8'])(
  '%s is allowed',
  (address) => {
    expect(closed.allows(address)).toBe(true);
  },
);

test('an operator opens a range and nothing beside it', () => {
  expect(opened.allows('127.0.0.1')).toBe(true);
  expect(opened.allows('::ffff:127.0.0.1')).toBe(true);
  expect(opened.allows('::1')).toBe(false);
  expect(opened.allows('10.0.0.1')).toBe(false);
  expect(() => createAddressGuard({ allow: ['10.0.0.0/99'] })).toThrow(/10\.0\.0\.0\/99/);
});

test('a refused address is not dialled, by whatever name', async () => {
  const before = connections;
  for (const host of ['127.0.0.1', 'localhost', '0x7f.1', '2130706433', '::ffff:127.0.0.1']) {
    await expect(closed.dial(host, port, options), host).rejects.toMatchObject({ code: 'SOURCE_ADDRESS_FORBIDDEN' });
  }
  expect(connections).toBe(before);
});

test('an allowed one is connected, by a name too', async () => {
  for (const host of ['127.0.0.1', 'localhost']) {
    const socket = await opened.dial(host, port, options);
    expect(socket.remoteAddress).toBe('127.0.0.1');
    const [data] = await once(socket, 'data');
    expect(String(data)).toBe('hello');
    socket.destroy();
  }
});

test('a refused port, an unknown host and an abort each have their own outcome', async () => {
  const nobody = await freePort();
  await expect(opened.dial('127.0.0.1', nobody, options)).rejects.toMatchObject({ code: 'SOURCE_CONNECTION_REFUSED' });
  await expect(opened.dial('no-such-host.invalid', 22, options)).rejects.toMatchObject({ code: 'SOURCE_HOST_UNKNOWN' });
  const reason = new Error('cancelled by the test');
  await expect(opened.dial('127.0.0.1', port, { ...options, signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test('the next address is tried when one fails, and the most telling failure is kept', async () => {
  const deadline = performance.now() + 10_000;
  const socket = await connectFirst(['127.0.0.2', '127.0.0.1'], port, deadline, signal);
  expect(socket.remoteAddress).toBe('127.0.0.1');
  socket.destroy();
  await expect(connectFirst(['127.0.0.2', '127.0.0.3'], port, deadline, signal)).rejects.toMatchObject({
    code: 'SOURCE_CONNECTION_REFUSED',
  });
});

test('a connection that nobody accepts ends in time', async () => {
  // With its queue of waiting connections full, the system leaves further ones unanswered.
  const deaf = createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 });
  await once(deaf, 'listening');
  const deafPort = (deaf.address() as AddressInfo).port;
  const results = await deafAttempts(deafPort);
  deaf.close();
  expect(results).toContain('SOURCE_TIMEOUT');
});

/** The event loop of this process accepts; blocking it is what makes the server deaf. */
async function deafAttempts(deafPort: number): Promise<string[]> {
  const script = `
    import { createAddressGuard } from ${JSON.stringify(new URL('./guard.ts', import.meta.url).href)};
    const guard = createAddressGuard({ allow: ['127.0.0.0/8'] });
    const dials = Array.from({ length: 20 }, () => guard.dial('127.0.0.1', ${deafPort}, { timeoutMs: 500, signal: new AbortController().signal }));
    const outcomes = (await Promise.allSettled(dials)).map((dial) => dial.status === 'rejected' ? dial.reason.code : 'connected');
    console.log(JSON.stringify(outcomes));
    process.exit(0);`;
  const child = execFile(process.execPath, ['--input-type=module', '-e', script]);
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  // This process must not accept meanwhile, so it waits without its event loop.
  const halt = new Int32Array(new SharedArrayBuffer(4));
  Atomics.wait(halt, 0, 0, 4000);
  await once(child, 'close');
  return JSON.parse(text) as string[];
}
