import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { until } from '@xvault/shared/testing/until.ts';
import { afterEach, describe, expect, it, test } from 'vitest';
import { configOf, loopback } from '../../../connectors/ftp/ftp.test-kit.ts';
import { receive } from './ftp-client.test-kit.ts';
import { clientOf, closeKept, ftpTimeouts, gatewayTo, kept } from './ftp-gateway.test-kit.ts';
import { openFtpGateway } from './ftp-gateway.ts';
import { startFtpRelay } from './ftp-relay.test-kit.ts';
import { type Said, startScriptedFtp } from './ftp-scripted.test-kit.ts';

const MiB = 1024 * 1024;
afterEach(closeKept);

describe('a server that does not keep to the rules', () => {
  const login = { user: 'u', password: 'p' };
  const through = async (act: (said: Said) => unknown) => {
    const server = kept(await startScriptedFtp(act));
    return { server, client: await clientOf(await gatewayTo({ ...login, port: server.port })) };
  };

  it.each(['426 Broken off', '451 Cannot read on', '552 Full'])(
    'a transfer that ends in order and is then said not to be whole is a loss: %s',
    async (verdict) => {
      const { client } = await through(async ({ verb, say, data }) => {
        if (verb !== 'RETR' && verb !== 'MLSD') return say('200 Fine\r\n');
        say('150 Here\r\n');
        (await data()).end('the first half', () => say(`${verdict}\r\n`));
      });
      for (const command of ['RETR x', 'MLSD']) {
        expect(await client.download(command)).toMatchObject({
          end: 'ECONNRESET',
          reply: { lines: [verdict] },
        });
      }
    },
  );

  it('a transfer on which it says nothing is a loss', async () => {
    const server = kept(
      await startScriptedFtp(async ({ say, data }) => {
        say('150 Here\r\n');
        (await data()).end('all of it');
      }),
    );
    const gateway = await gatewayTo({ ...login, port: server.port }, {}, {}, { verdictMs: 200 });
    const client = await clientOf(gateway);
    const socket = await client.openData();
    const receiving = receive(socket);
    await client.ask('RETR x');
    expect((await receiving).end).toBe('ECONNRESET');
  });

  it('an upload that breaks at the near end does not end in order at the far one', async () => {
    const arrived = Promise.withResolvers<Awaited<ReturnType<typeof receive>>>();
    const { client } = await through(async ({ say, data }) => {
      const receiving = receive(await data());
      say('150 Go on\r\n');
      arrived.resolve(await receiving);
      say('426 Lost\r\n');
    });
    const socket = await client.openData();
    await client.ask('STOR x');
    socket.write(randomBytes(MiB), () => socket.resetAndDestroy());
    expect((await arrived.promise).end).toBe('ECONNRESET');
    expect(await client.reply()).toMatchObject({ code: 426 });
  });

  it('an upload that it breaks off is broken off at the near end', async () => {
    const { client } = await through(async ({ say, data }) => {
      const socket = await data();
      say('150 Go on\r\n');
      socket.once('data', () => {
        socket.resetAndDestroy();
        say('452 Full\r\n');
      });
    });
    const socket = await client.openData();
    await client.ask('STOR x');
    const receiving = receive(socket);
    socket.write('some');
    expect((await receiving).end).toBe('ECONNRESET');
    expect(await client.reply()).toMatchObject({ code: 452 });
  });

  it('no answer of its tells where to connect to', async () => {
    for (const forged of ['227 Entering Passive Mode (127,0,0,3,0,80).', '228 (127,0,0,3,0,80)', '229 (|||80|)']) {
      const { client } = await through(({ say }) => say(`${forged}\r\n`));
      expect(await client.ask('NOOP')).toMatchObject({ code: 0 });
    }
  });

  it('each command has one answer, however many it gives', async () => {
    const { server, client } = await through(({ verb, say }) => {
      if (verb === 'NOOP')
        say('100 Wait\r\n150 Wait\r\n200-Fine\r\n227 Here (127,0,0,3,0,80)\r\n200\r\n227 (127,0,0,3,0,80)\r\n');
      else say('213 7\r\n');
    });
    expect((await client.ask('NOOP')).lines.at(-1)).toBe('200 ');
    expect(await client.ask('SIZE x')).toMatchObject({ code: 213, lines: ['213 7'] });
    expect(await client.dataPort('PASV')).not.toBe(80);
    expect(server.heard.filter((line) => line === 'EPSV')).toHaveLength(1);
  });

  it('a transfer begins once, however often it says so', async () => {
    const { client } = await through(async ({ verb, say, data }) => {
      if (verb !== 'RETR') return say('213 7\r\n');
      say('150 Here\r\n150 Here\r\n125 227 (127,0,0,3,0,80)\r\n');
      (await data()).end('x', () => say('226 All of it\r\n'));
    });
    expect(await client.download('RETR x')).toMatchObject({ end: 'end', reply: { code: 226 } });
    expect(await client.ask('SIZE x')).toMatchObject({ code: 213 });
  });

  it('what it says readable before TLS begins is not taken for its encrypted words', async () => {
    const server = kept(await startScriptedFtp(({ say }) => say('234 Begin\r\n230 You are in\r\n')));
    const opening = gatewayTo({ ...login, port: server.port }, { tls: 'explicit' });
    await expect(opening).rejects.toMatchObject({ code: expect.stringMatching(/^SOURCE_(PROTOCOL|TLS_FAILED)$/) });
    expect(server.heard).toEqual(['AUTH TLS']);
  });

  it('a line without an end ends the connection', async () => {
    const { client } = await through(({ say }) => say('x'.repeat(200_000)));
    expect(await client.ask('NOOP')).toMatchObject({ code: 0 });
    const gateway = await gatewayTo({ ...login, port: kept(await startScriptedFtp(() => undefined)).port });
    const flood = connect(gateway.port, '127.0.0.1').on('error', () => undefined);
    flood.write('x'.repeat(200_000));
    expect((await receive(flood)).end).toMatch(/^(end|close|ECONNRESET|EPIPE)$/);
  });
});

test('a login that is cancelled ends with the reason, and is not left open', async () => {
  const relay = kept(await startFtpRelay(kept(await startScriptedFtp(() => undefined)).port));
  const cancel = new AbortController();
  const reason = new Error('cancelled by the test');
  const config = configOf({ port: relay.port, user: 'u' }, { tls: 'explicit' });
  const settings = { guard: loopback, config, secret: { password: 'p' }, timeouts: ftpTimeouts };
  const opening = openFtpGateway(settings, cancel.signal);
  await until('the connection', () => relay.open() > 0);
  cancel.abort(reason);
  await expect(opening).rejects.toBe(reason);
  await until('its end', () => relay.open() === 0);
});
