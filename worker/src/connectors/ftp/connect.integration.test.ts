import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createAddressGuard } from '../../net/guard.ts';
import { entryAt, listAll, readOne } from '../../testing/sources.ts';
import { configOf, never, testFtpConnector } from './ftp.test-kit.ts';

const { connect, probe } = testFtpConnector();

describe.each(['explicit', 'implicit'] as const)('%s TLS', (tls) => {
  let server: TestVsftpd;
  beforeAll(async () => {
    server = await startVsftpd({ tls });
    await writeFile(join(server.dataDir, 'file'), 'over TLS');
  });
  afterAll(() => server?.stop());

  test('goes on with its session on every data connection, as the server demands', async () => {
    const config = configOf(server, { tls, ca_pem: server.certPem });
    const session = await connect(config, { password: server.password }, never);
    for (let round = 0; round < 3; round += 1) {
      const result = await readOne(session, entryAt(await listAll(session, never), 'file'), never);
      expect(result.ok && result.data.toString()).toBe('over TLS');
    }
    await session.close();
  });

  test('refuses a certificate of nobody’s, unless told not to look', async () => {
    const login = { password: server.password };
    await expect(connect(configOf(server, { tls }), login, never)).rejects.toMatchObject({ code: 'SOURCE_TLS_FAILED' });
    const found = await probe(configOf(server, { tls, tls_verify: false }), login, never);
    expect(found).toMatchObject({
      entryNames: ['file'],
      measure: { fileCount: 1, totalBytes: 8, complete: true },
      details: { tls: expect.stringMatching(/^TLSv1/), listing: 'LIST', resume: true, exact_times: true },
    });
    expect(found.server).toContain('vsFTPd');
  });

  test('refuses a good certificate of another host', async () => {
    const other = await startVsftpd({ tls, certificateNames: ['elsewhere.example.com'] });
    const config = configOf(other, { tls, ca_pem: other.certPem });
    await expect(connect(config, { password: other.password }, never)).rejects.toMatchObject({
      code: 'SOURCE_TLS_FAILED',
      detail: expect.stringContaining('altnames'),
    });
    await other.stop();
  });

  test('a plain login is refused by a server that demands TLS', async () => {
    const login = connect(
      configOf(server, { tls: 'none' }),
      { password: server.password },
      AbortSignal.timeout(15_000),
    );
    await expect(login).rejects.toMatchObject({
      code: tls === 'explicit' ? 'SOURCE_AUTH_FAILED' : 'SOURCE_TIMEOUT',
    });
  });
});

describe('without TLS', () => {
  let server: TestVsftpd;
  beforeAll(async () => {
    server = await startVsftpd();
    await mkdir(join(server.dataDir, 'closed'), { mode: 0o700 });
    await writeFile(join(server.dataDir, 'file'), 'x');
  });
  afterAll(() => server?.stop());
  const login = () => ({ password: server.password });
  const code = (value: string) => expect.objectContaining({ code: value });

  test('a wrong password, user, path, permission and TLS each have their own code', async () => {
    await expect(connect(configOf(server), { password: 'wrong' }, never)).rejects.toEqual(code('SOURCE_AUTH_FAILED'));
    await expect(connect(configOf(server, { user: 'nobody-here' }), login(), never)).rejects.toEqual(
      code('SOURCE_AUTH_FAILED'),
    );
    await expect(connect(configOf(server, { path: '/nowhere' }), login(), never)).rejects.toEqual(
      code('SOURCE_PATH_NOT_FOUND'),
    );
    await expect(connect(configOf(server, { path: '/file' }), login(), never)).rejects.toEqual(
      code('SOURCE_PATH_NOT_FOUND'),
    );
    await expect(connect(configOf(server, { path: '/closed' }), login(), never)).rejects.toEqual(
      code('SOURCE_PERMISSION'),
    );
    await expect(connect(configOf(server, { tls: 'explicit' }), login(), never)).rejects.toEqual(
      code('SOURCE_TLS_FAILED'),
    );
    await chmod(join(server.dataDir, 'closed'), 0o755);
    await (await connect(configOf(server, { path: '/closed' }), login(), never)).close();
  });

  test('errors never hold the password', async () => {
    const secret = 'a-password-that-is-nowhere';
    const error = await connect(configOf(server), { password: secret }, never).catch((caught: unknown) => caught);
    expect(JSON.stringify(error, Object.getOwnPropertyNames(error))).not.toContain(secret);
    const broken = connect(configOf(server), { password: `${secret}\r\nDELE file` }, never);
    await expect(broken).rejects.toEqual(code('SOURCE_AUTH_FAILED'));
    await expect(broken.catch((caught: unknown) => String((caught as Error).stack))).resolves.not.toContain(secret);
  });

  test('nobody there, a host that is none, an address that is not allowed', async () => {
    const nobody = configOf({ port: await freePort(), user: 'u' });
    await expect(connect(nobody, login(), never)).rejects.toEqual(code('SOURCE_CONNECTION_REFUSED'));
    const nowhere = configOf(server, { host: 'no-such-host.invalid' });
    await expect(connect(nowhere, login(), never)).rejects.toEqual(code('SOURCE_HOST_UNKNOWN'));
    const closed = testFtpConnector({ guard: createAddressGuard({ allow: [] }) });
    await expect(closed.connect(configOf(server), login(), never)).rejects.toEqual(code('SOURCE_ADDRESS_FORBIDDEN'));
  });

  test('a server that says nothing, or nothing of FTP', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    const strange = createServer((socket) => socket.on('error', () => undefined).end('HTTP/1.1 400 Bad\r\n\r\n'));
    strange.listen(0, '127.0.0.1');
    await Promise.all([once(silent, 'listening'), once(strange, 'listening')]);
    const at = (listener: typeof silent) => configOf({ port: (listener.address() as AddressInfo).port, user: 'u' });
    const quick = testFtpConnector({ timeouts: { loginMs: 500 } });
    await expect(quick.connect(at(silent), login(), never)).rejects.toEqual(code('SOURCE_TIMEOUT'));
    await expect(quick.connect(at(strange), login(), never)).rejects.toMatchObject({
      code: expect.stringMatching(/^SOURCE_(PROTOCOL|TIMEOUT)$/),
    });
    silent.close();
    strange.close();
  });

  test('a cancelled connect ends with the reason', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined)).listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const cancel = new AbortController();
    const reason = new Error('cancelled by the test');
    const port = (silent.address() as AddressInfo).port;
    const connecting = connect(configOf({ port, user: 'u' }), login(), cancel.signal);
    silent.once('connection', () => cancel.abort(reason));
    await expect(connecting).rejects.toBe(reason);
    silent.close();
  });
});

test('data connections go to the server itself, whatever address it tells', async () => {
  const server = await startVsftpd({ extraConfig: ['pasv_address=10.1.2.3'] });
  await writeFile(join(server.dataDir, 'file'), 'x');
  // Without EPSV, which tells no address.
  const proxy = await startFtpFilter(server.port, (line) => (line.startsWith('EPSV') ? 'XXXX\r\n' : line));
  const session = await connect(
    configOf({ port: proxy.port, user: server.user }),
    { password: server.password },
    never,
  );
  expect((await listAll(session, never)).entries.map(({ path }) => path.toString())).toEqual(['.', 'file']);
  expect(await server.log()).toMatch(/10,1,2,3/);
  await session.close();
  proxy.close();
  await server.stop();
});

/** A control connection whose lines to the server are changed on the way. */
async function startFtpFilter(targetPort: number, change: (line: string) => string) {
  const { connect: dial } = await import('node:net');
  const listener = createServer((client) => {
    const upstream = dial(targetPort, '127.0.0.1');
    client.on('data', (chunk) => upstream.write(change(chunk.toString('latin1')), 'latin1'));
    upstream.on('data', (chunk) => client.write(chunk));
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(listener, 'listening');
  return { port: (listener.address() as AddressInfo).port, close: () => listener.close() };
}
