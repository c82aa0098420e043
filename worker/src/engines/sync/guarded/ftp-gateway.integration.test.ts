import { randomBytes } from 'node:crypto';
import { chown, readFile, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { accepts } from '@xvault/shared/testing/accepts.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { startVsftpd, type TestVsftpd } from '@xvault/shared/testing/vsftpd.ts';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createAddressGuard } from '../../../net/guard.ts';
import { receive, TestFtpClient } from './ftp-client.test-kit.ts';
import { clientOf, closeKept, gatewayTo, kept } from './ftp-gateway.test-kit.ts';
import { type FtpRelay, startFtpRelay } from './ftp-relay.test-kit.ts';

const MiB = 1024 * 1024;
afterEach(closeKept);

describe.each(['none', 'explicit', 'implicit'] as const)('to a server, TLS: %s', (tls) => {
  const content = randomBytes(3 * MiB);
  let server: TestVsftpd;
  beforeAll(async () => {
    server = await startVsftpd({ tls });
    await writeFile(join(server.dataDir, 'large'), content);
    await writeFile(join(server.dataDir, 'empty'), '');
    await writeFile(join(server.dataDir, 'grüße an alle'), 'named');
  });
  afterAll(() => server?.stop());
  const trusted = () => ({ tls, ca_pem: tls === 'none' ? null : server.certPem });

  it('files and listings come whole, again and again, over a data connection of their own each', async () => {
    const client = await clientOf(await gatewayTo(server, trusted()));
    for (const verb of ['EPSV', 'PASV', 'EPSV'] as const) {
      const listed = await client.download('LIST', verb);
      expect(listed).toMatchObject({ end: 'end', reply: { code: 226 } });
      expect(listed.data.toString()).toContain('grüße an alle');
      expect(await client.ask('TYPE I')).toMatchObject({ code: 200 });
      const large = await client.download('RETR large', verb);
      expect(large).toMatchObject({ end: 'end', reply: { code: 226 } });
      expect(large.data.equals(content)).toBe(true);
      expect(await client.download('RETR empty', verb)).toMatchObject({ end: 'end', data: Buffer.alloc(0) });
      const named = Buffer.from('RETR grüße an alle').toString('latin1');
      expect((await client.download(named, verb)).data.toString()).toBe('named');
      await client.ask('REST 3000000');
      expect((await client.download('RETR large', verb)).data.equals(content.subarray(3_000_000))).toBe(true);
      expect(await client.download('RETR none', verb)).toMatchObject({ end: 'ECONNRESET', reply: { code: 550 } });
    }
  });

  it('uploads arrive whole, also empty ones', async () => {
    const client = await clientOf(await gatewayTo(server, trusted()));
    for (const verb of ['EPSV', 'PASV'] as const) {
      for (const [name, sent] of Object.entries({ up: content, nothing: Buffer.alloc(0), 'a b': Buffer.from('x') })) {
        expect(await client.upload(`STOR ${name}`, sent, verb)).toMatchObject({ code: 226 });
        expect((await readFile(join(server.dataDir, name))).equals(sent)).toBe(true);
        await client.ask(`DELE ${name}`);
      }
      // All sent and ended before the server has begun to encrypt.
      for (const sent of ['', 'some']) {
        (await client.openData(verb)).end(sent);
        expect(await client.ask('STOR early')).toMatchObject({ code: 150 });
        expect(await client.reply()).toMatchObject({ code: 226 });
        expect(await readFile(join(server.dataDir, 'early'), 'utf8')).toBe(sent);
      }
    }
  });

  it('a server that dies midway is a loss', async () => {
    const own = await startVsftpd({ tls });
    try {
      await writeFile(join(own.dataDir, 'large'), Buffer.alloc(16 * MiB));
      const client = await clientOf(await gatewayTo(own, { tls, tls_verify: false }));
      const socket = await client.openData();
      expect(await client.ask('RETR large')).toMatchObject({ code: 150 });
      own.signalSessions('SIGKILL');
      const received = await receive(socket);
      expect(received.end).toBe('ECONNRESET');
      expect(received.data.length).toBeLessThan(16 * MiB);
    } finally {
      await own.stop();
    }
  });

  it('an upload that breaks is a failed one to the server', async () => {
    const client = await clientOf(await gatewayTo(server, trusted()));
    const socket = await client.openData();
    expect(await client.ask('STOR broken')).toMatchObject({ code: 150 });
    socket.write(content, () => socket.resetAndDestroy());
    expect(await client.reply()).toMatchObject({ code: 426 });
    await vi.waitFor(async () => expect(await server.log()).toMatch(/FAIL UPLOAD: .*broken/), 10_000);
    expect(await client.upload('STOR whole', content)).toMatchObject({ code: 226 });
  });

  it('what cannot be logged in to is told before anything is opened', async () => {
    const wrong = gatewayTo({ ...server, password: 'wrong' }, trusted());
    await expect(wrong).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
    const closed = gatewayTo(server, trusted(), { guard: createAddressGuard({ allow: [] }) });
    await expect(closed).rejects.toMatchObject({ code: 'SOURCE_ADDRESS_FORBIDDEN' });
    if (tls === 'none') {
      await expect(gatewayTo(server, { tls: 'explicit' })).rejects.toMatchObject({ code: 'SOURCE_TLS_FAILED' });
    } else {
      await expect(gatewayTo(server, { tls })).rejects.toMatchObject({ code: 'SOURCE_TLS_FAILED' });
      const client = await clientOf(await gatewayTo(server, { tls, tls_verify: false }));
      expect((await client.download('RETR large')).data.equals(content)).toBe(true);
    }
  });
});

describe('without TLS', () => {
  const content = randomBytes(6 * MiB);
  let server: TestVsftpd;
  beforeAll(async () => {
    server = await startVsftpd();
    await writeFile(join(server.dataDir, 'large'), content);
    await chown(join(server.dataDir, 'large'), server.uid, server.gid);
  });
  afterAll(() => server?.stop());
  const through = ({ host, port }: FtpRelay) => gatewayTo({ ...server, port }, { host });

  it('only its own login opens it, and the server never hears of another one', async () => {
    const gateway = await gatewayTo(server);
    const before = (await server.log()).match(/ LOGIN:/g)?.length;
    for (const login of [
      { user: server.user, password: server.password },
      { user: gateway.user, password: 'x' },
    ]) {
      await expect(TestFtpClient.logIn({ port: gateway.port, ...login })).rejects.toThrow('530');
    }
    const early = kept(await TestFtpClient.connect(gateway));
    expect(await early.ask('LIST')).toMatchObject({ code: 530 });
    expect((await server.log()).match(/ LOGIN:/g)?.length).toBe(before);
  });

  it('commands that could open another way do not get to the server', async () => {
    const client = await clientOf(await gatewayTo(server));
    const refused = [
      'PORT 127,0,0,1,0,80',
      'EPRT |1|127.0.0.1|80|',
      'LPRT 4,4',
      'LPSV',
      'AUTH TLS',
      'PBSZ 0',
      'PROT C',
    ];
    for (const line of [...refused, 'CCC', 'SITE CHMOD 777 large', 'site help', 'USER x', 'REIN', 'XYZ', '']) {
      expect(await client.ask(line), line).toMatchObject({ code: 502 });
    }
    expect(await client.ask('MKD a\rDELE large')).toMatchObject({ code: 501 });
    expect(await client.ask('MKD a\0b')).toMatchObject({ code: 501 });
    expect(await client.ask('SIZE large')).toMatchObject({ code: 213 });
    expect(await server.log()).not.toMatch(/"(PORT|EPRT|LPRT|LPSV|AUTH|PBSZ|PROT|CCC|SITE|REIN|XYZ|MKD)/i);
  });

  const networks: { namedHost?: string }[] = [{}, { namedHost: '127.0.0.3' }];
  it.each(networks)('data connections go to the server itself: %j', async (more) => {
    const relay = kept(await startFtpRelay(server.port, { host: '127.0.0.2', ...more }));
    const client = await clientOf(await through(relay));
    const before = relay.bytesToClients();
    for (const verb of ['EPSV', 'PASV'] as const) {
      expect((await client.download('RETR large', verb)).data.equals(content)).toBe(true);
    }
    expect(relay.strayed()).toBe(0);
    expect(relay.bytesToClients() - before).toBe(2 * content.length);
    if (more.namedHost === undefined) return;
    // One that believes the server goes there.
    const naive = connect(relay.port, relay.host).setEncoding('latin1');
    kept({ close: () => naive.destroy() });
    naive.write(`USER ${server.user}\r\nPASS ${server.password}\r\nPASV\r\n`);
    for await (const text of naive) {
      const [, high, low] = /\(127,0,0,3,(\d+),(\d+)\)/.exec(text) ?? [];
      if (high === undefined) continue;
      connect(Number(high) * 256 + Number(low), more.namedHost).on('error', () => undefined);
      break;
    }
    await until('the one that goes there', () => relay.strayed() === 1);
  });

  it('a connection that is reset half way is never an end in order', async () => {
    const relay = kept(await startFtpRelay(server.port, { cut: { afterBytes: MiB, times: 3 } }));
    const client = await clientOf(await through(relay));
    for (let at = 0; at < 3; at += 1) {
      const broken = await client.download('RETR large');
      expect(broken).toMatchObject({ end: 'ECONNRESET', reply: { code: 426 } });
      expect(broken.data.length).toBeLessThan(content.length);
    }
    expect((await client.download('RETR large')).data.equals(content)).toBe(true);
  });

  it('closing it ends what is under way, at both ends', async () => {
    const relay = kept(await startFtpRelay(server.port));
    const gateway = await through(relay);
    const [busy, idle, waiting] = [await clientOf(gateway), await clientOf(gateway), await clientOf(gateway)];
    const port = await waiting.dataPort();
    const socket = await busy.openData();
    expect(await busy.ask('RETR large')).toMatchObject({ code: 150 });
    expect(relay.open()).toBeGreaterThan(3);
    await gateway.close();
    expect((await receive(socket)).end).toBe('ECONNRESET');
    expect(await idle.reply()).toMatchObject({ code: 0 });
    await until('all connections to the server to end', () => relay.open() === 0);
    expect(await accepts(port)).toBe(false);
    expect(await accepts(gateway.port)).toBe(false);
  });

  it('a data port is for one, once, and not for ever', async () => {
    const gateway = await gatewayTo(server, {}, {}, { acceptMs: 200 });
    const client = await clientOf(gateway);
    const forgotten = await client.dataPort();
    await sleep(400);
    expect(await accepts(forgotten)).toBe(false);
    const socket = await client.openData();
    expect(await accepts(socket.remotePort ?? 0)).toBe(false);
    await sleep(400);
    const receiving = receive(socket);
    expect(await client.ask('RETR large')).toMatchObject({ code: 150 });
    expect((await receiving).data.equals(content)).toBe(true);
  });

  it('a server that ends is told of by the end of the control connection', async () => {
    const own = await startVsftpd();
    try {
      const client = await clientOf(await gatewayTo(own));
      own.signalSessions('SIGKILL');
      expect(await client.reply()).toMatchObject({ code: 0 });
    } finally {
      await own.stop();
    }
  });
});
