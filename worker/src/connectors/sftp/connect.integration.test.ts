import { once } from 'node:events';
import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createAddressGuard } from '../../net/guard.ts';
import { targetOf, testSftpConnector } from '../../testing/sftp-client.ts';
import { createSftpConnector } from './connector.ts';

const { signal } = new AbortController();
const connector = testSftpConnector();
let sshd: TestSshd;
let secret: { private_key: string };

beforeAll(async () => {
  sshd = await startSshd();
  secret = { private_key: sshd.privateKey };
  await writeFile(join(sshd.dataDir, 'plain file'), 'x');
  await mkdir(join(sshd.dataDir, 'sub'));
});

afterAll(() => sshd?.stop());

test('a probe reports the host key, the server and the names, once the secret fits', async () => {
  const probe = await connector.probe(targetOf(sshd, { host_key: null }), secret, signal);
  expect(probe).toMatchObject({ hostKey: sshd.fingerprint(), entryNames: ['plain file', 'sub'] });
  expect(probe.server).toMatch(/^OpenSSH_/);
  expect(probe.latencyMs).toBeGreaterThan(0);
});

test('without a pinned key nothing is connected, and no login is tried', async () => {
  const logged = sshd.log().length;
  await expect(connector.connect(targetOf(sshd, { host_key: null }), secret, signal)).rejects.toMatchObject({
    code: 'SSH_HOST_KEY_UNKNOWN',
    params: { fingerprint: sshd.fingerprint() },
  });
  // sshd names the user in each line on a connection where a login has begun.
  await until('the end of the connection in the log', () => /preauth/.test(sshd.log().slice(logged)));
  expect(sshd.log().slice(logged)).not.toContain(sshd.user.name);
});

test('a changed host key stops connecting and probing before a login', async () => {
  const server = await startSshd();
  try {
    const target = targetOf(server);
    await server.restartWithNewHostKey();
    const logged = server.log().length;
    const expected = {
      code: 'SSH_HOST_KEY_CHANGED',
      params: { expected: target.host_key, actual: server.fingerprint() },
    };
    const key = { private_key: server.privateKey };
    await expect(connector.connect(target, key, signal)).rejects.toMatchObject(expected);
    await expect(connector.probe(target, key, signal)).rejects.toMatchObject(expected);
    await until('two ends in the log', () => server.log().slice(logged).split('preauth').length > 2);
    expect(server.log().slice(logged)).not.toContain(server.user.name);
    await (await connector.connect(targetOf(server), key, signal)).close();
    await until('the login in the log', () => server.log().slice(logged).includes(server.user.name));
  } finally {
    await server.stop();
  }
});

test('each way of not reaching a server has its code', async () => {
  const attempt = (overrides: object) => connector.connect(targetOf(sshd, overrides), secret, signal);
  await expect(attempt({ port: await freePort() })).rejects.toMatchObject({ code: 'SOURCE_CONNECTION_REFUSED' });
  await expect(attempt({ host: 'no-such-host.invalid' })).rejects.toMatchObject({ code: 'SOURCE_HOST_UNKNOWN' });
  const closed = createSftpConnector({ guard: createAddressGuard({ allow: [] }) });
  await expect(closed.probe(targetOf(sshd), secret, signal)).rejects.toMatchObject({
    code: 'SOURCE_ADDRESS_FORBIDDEN',
  });
});

test('a server that is silent, speaks something else or hangs up', async () => {
  const behaviours: [string, (socket: Socket) => void][] = [
    ['SOURCE_TIMEOUT', () => undefined],
    ['SOURCE_PROTOCOL', (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'.repeat(2000))],
    ['SOURCE_PROTOCOL', (socket) => socket.end()],
  ];
  const impatient = testSftpConnector({ handshakeMs: 1500 });
  for (const [code, behave] of behaviours) {
    const sockets: Socket[] = [];
    const server = createServer((socket) => {
      sockets.push(socket.on('error', () => undefined));
      behave(socket);
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    await expect(impatient.connect(targetOf(sshd, { port }), secret, signal)).rejects.toMatchObject({ code });
    for (const socket of sockets) socket.destroy();
    server.close();
  }
});

test('the root must be a directory that may be read', async () => {
  await mkdir(join(sshd.dataDir, 'closed'));
  await chmod(join(sshd.dataDir, 'closed'), 0);
  await symlink('sub', join(sshd.dataDir, 'link'));
  const attempt = (name: string) =>
    connector.connect(targetOf(sshd, { path: join(sshd.dataDir, name) }), secret, signal);
  await expect(attempt('missing')).rejects.toMatchObject({ code: 'SOURCE_PATH_NOT_FOUND' });
  await expect(attempt('plain file')).rejects.toMatchObject({ code: 'SOURCE_PATH_NOT_FOUND' });
  await expect(attempt('closed')).rejects.toMatchObject({ code: 'SOURCE_PERMISSION' });
  await (await attempt('link')).close();
});

test('a cancelled attempt ends at once with the reason and leaves no connection', async () => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const accepted = once(silent, 'connection');
  const cancel = new AbortController();
  const attempt = connector.connect(targetOf(sshd, { port }), secret, cancel.signal);
  const [socket] = (await accepted) as [Socket];
  const ended = once(socket.on('error', () => undefined).resume(), 'close');
  const reason = new Error('cancelled by the test');
  cancel.abort(reason);
  await expect(attempt).rejects.toBe(reason);
  await ended;
  silent.close();
});

test('closed sessions leave no process on the server', async () => {
  const session = await connector.connect(targetOf(sshd), secret, signal);
  expect(sshd.sessionCount()).toBeGreaterThan(0);
  await session.close();
  await until('no session processes', () => sshd.sessionCount() === 0);
});
