import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { run } from '@xvault/shared/testing/run.ts';
import { makeKey, startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { until } from '@xvault/shared/testing/until.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { testSshOptions } from '../../testing/sftp-client.ts';
import { connectSsh, type SshClient, type SshTarget } from './client.ts';
import { runOnServer } from './run-command.ts';
import { assignBytes, posixShell } from './shell.ts';

const { signal } = new AbortController();
const { guard, timeouts } = testSshOptions();
let sshd: TestSshd;
let jump: TestSshd;
let keyDir: string;

beforeAll(async () => {
  keyDir = await mkdtemp(join(tmpdir(), 'xvault-keys-'));
  [sshd, jump] = await Promise.all([startSshd(), startSshd()]);
});
afterAll(async () => {
  await Promise.all([sshd?.stop(), jump?.stop()]);
  await rm(keyDir, { recursive: true, force: true });
});

function target(overrides: { pinned?: string; port?: number; jump?: object; jumpSecret?: object } = {}): SshTarget {
  const hop = { host: jump.host, port: jump.port, user: jump.user.name, host_key: jump.fingerprint() };
  return {
    config: {
      host: sshd.host,
      port: overrides.port ?? sshd.port,
      user: sshd.user.name,
      jump: overrides.jump ? { ...hop, ...overrides.jump } : null,
    },
    secret: {
      private_key: sshd.privateKey,
      ...(overrides.jump ? { jump: { private_key: jump.privateKey, ...overrides.jumpSecret } } : {}),
    },
    hostKey: { pinned: overrides.pinned ?? sshd.fingerprint(), acceptUnknown: false },
  };
}

async function connected<T>(to: SshTarget, use: (client: SshClient) => Promise<T>): Promise<T> {
  const client = await connectSsh(guard, to, timeouts, signal);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

async function said(client: SshClient, command: string): Promise<Buffer> {
  const remote = await client.exec(command, { signal });
  remote.stdin.end();
  const output = Buffer.concat(await remote.stdout.toArray());
  expect(await remote.exit).toEqual({ code: 0, signal: null });
  return output;
}

test('several commands and SFTP go on side by side over one login', async () => {
  const logged = sshd.log().length;
  await connected(target(), async (client) => {
    const [first, second, sftp] = await Promise.all([
      said(client, 'echo one'),
      said(client, 'echo two'),
      client.openSftp(signal),
    ]);
    expect([first.toString(), second.toString()]).toEqual(['one\n', 'two\n']);
    sftp.destroy();
  });
  expect(
    sshd
      .log()
      .slice(logged)
      .match(/Accepted publickey/g),
  ).toHaveLength(1);
});

test('a command gets its input, gives its output whole, and tells how it ended', async () => {
  await connected(target(), async (client) => {
    const input = randomBytes(30 * 1024 * 1024);
    const remote = await client.exec('cat; echo trouble >&2; exit 7', { signal });
    remote.stdin.end(input);
    const hash = createHash('sha256');
    for await (const chunk of remote.stdout) hash.update(chunk as Buffer);
    expect(await remote.exit).toEqual({ code: 7, signal: null });
    expect(hash.digest('hex')).toBe(createHash('sha256').update(input).digest('hex'));
    expect(remote.stderrTail()).toBe('trouble\n');
    const killed = await client.exec('kill -TERM $$', { signal });
    killed.stdout.resume();
    expect(await killed.exit).toEqual({ code: null, signal: 'SIGTERM' });
  });
});

test('output that is not taken makes the server wait', async () => {
  await connected(target(), async (client) => {
    const marker = join(sshd.dataDir, 'written');
    const remote = await client.exec(`head -c 100000000 /dev/zero; echo done > ${marker}`, { signal });
    await until('data', () => remote.stdout.readableLength > 0);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await expect(said(client, `ls ${marker} 2>&1 | wc -l; test ! -e ${marker}`)).resolves.toBeDefined();
    remote.kill();
  });
});

test('a cancelled command ends on both sides with the reason, and the connection stays', async () => {
  await connected(target(), async (client) => {
    const cancel = new AbortController();
    const remote = await client.exec('echo $$; exec sleep 600', { signal: cancel.signal });
    const [line] = (await once(remote.stdout, 'data')) as [Buffer];
    const reason = new Error('cancelled by the test');
    cancel.abort(reason);
    await expect(remote.exit).rejects.toBe(reason);
    const pid = Number(line.toString());
    await until('the end of the command', async () =>
      (await said(client, `kill -0 ${pid} 2>/dev/null && echo there || echo gone`)).toString().startsWith('gone'),
    );
  });
});

test('a hook has its time and its exit code, and its last output is kept', async () => {
  await connected(target(), async (client) => {
    const run = (command: string, timeoutMs: number) => runOnServer(client, command, { timeoutMs, signal });
    expect(await run('echo out; echo err >&2; exit 3', 20_000)).toMatchObject({ exitCode: 3 });
    expect((await run('echo out', 20_000)).outputTail).toBe('out\n');
    expect((await run('yes | head -c 100000', 20_000)).outputTail.length).toBeLessThan(5000);
    expect(await run('cat; echo "no input"', 20_000)).toEqual({ exitCode: 0, outputTail: 'no input\n' });
    await expect(run('sleep 600', 300)).rejects.toMatchObject({ code: 'SOURCE_TIMEOUT' });
  });
});

test('a broken connection fails what is under way and what is asked for later', async () => {
  const proxy = await startTcpProxy(sshd.port);
  const client = await connectSsh(guard, target({ port: proxy.port }), timeouts, signal);
  const remote = await client.exec('sleep 600', { signal });
  const lost = new Promise((resolve) => client.onLost(resolve));
  proxy.cut();
  await expect(remote.exit).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await expect(lost).resolves.toMatchObject({ code: 'SOURCE_LOST' });
  await expect(client.exec('true', { signal })).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await expect(client.openSftp(signal)).rejects.toMatchObject({ code: 'SOURCE_LOST' });
  await client.close();
  await proxy.close();
});

test('connections are forwarded; a refused one is said to be refused', async () => {
  const server = createServer((socket) => socket.on('error', () => undefined).end('through the tunnel')).listen(
    0,
    '127.0.0.1',
  );
  await once(server, 'listening');
  await connected(target(), async (client) => {
    const socket = await client.forward('127.0.0.1', (server.address() as AddressInfo).port, signal);
    expect(Buffer.concat(await socket.toArray()).toString()).toBe('through the tunnel');
    await expect(client.forward('127.0.0.1', await freePort(), signal)).rejects.toMatchObject({
      code: 'SOURCE_CONNECTION_REFUSED',
    });
  });
  server.close();
});

test('a server that forbids forwarding and commands says so', async () => {
  const closed = await startSshd({ extraConfig: ['AllowTcpForwarding no', 'ForceCommand internal-sftp'] });
  try {
    const to = {
      config: { ...target().config, port: closed.port, user: closed.user.name },
      secret: { private_key: closed.privateKey },
    };
    await connected({ ...to, hostKey: { pinned: closed.fingerprint(), acceptUnknown: false } }, async (client) => {
      await expect(client.forward('127.0.0.1', sshd.port, signal)).rejects.toMatchObject({ code: 'SOURCE_PROTOCOL' });
      (await client.openSftp(signal)).destroy();
    });
  } finally {
    await closed.stop();
  }
});

test('through a jump host, each with a key and a login of its own', async () => {
  await connected(target({ jump: {} }), async (client) => {
    expect(client.fingerprint).toBe(sshd.fingerprint());
    const size = 20 * 1024 * 1024;
    expect((await said(client, `head -c ${size} /dev/zero`)).length).toBe(size);
  });
  await until('no sessions', () => jump.sessionCount() + sshd.sessionCount() === 0);
});

test('what goes wrong on the way says at which of the two hosts', async () => {
  const attempt = (overrides: Parameters<typeof target>[0]) => connectSsh(guard, target(overrides), timeouts, signal);
  const atJump = expect.stringMatching(/^jump host: /);
  const atTarget = expect.not.stringMatching(/jump host/);
  await expect(attempt({ jump: { port: await freePort() } })).rejects.toMatchObject({
    code: 'SOURCE_CONNECTION_REFUSED',
    detail: atJump,
  });
  const stranger = await makeKey(join(keyDir, 'stranger'), 'ed25519');
  await expect(attempt({ jump: {}, jumpSecret: { private_key: stranger.privateText } })).rejects.toMatchObject({
    code: 'SOURCE_AUTH_FAILED',
    detail: atJump,
  });
  await expect(attempt({ jump: { host_key: sshd.fingerprint() } })).rejects.toMatchObject({
    code: 'SSH_HOST_KEY_CHANGED',
    params: { actual: jump.fingerprint() },
    detail: atJump,
  });
  await expect(attempt({ jump: {}, pinned: jump.fingerprint() })).rejects.toMatchObject({
    code: 'SSH_HOST_KEY_CHANGED',
    params: { actual: sshd.fingerprint() },
  });
  await expect(attempt({ jump: {}, port: await freePort() })).rejects.toMatchObject({
    code: 'SOURCE_CONNECTION_REFUSED',
    detail: atTarget,
  });
  await until('no sessions', () => jump.sessionCount() + sshd.sessionCount() === 0);
});

test('a server that is pinned by its RSA key may have an ed25519 and an ECDSA key too', async () => {
  const ecdsa = await makeKey(join(keyDir, 'host_ecdsa'), 'ecdsa');
  const extraConfig = [`HostKey ${join(keyDir, 'host_ecdsa')}`];
  const server = await startSshd({ extraConfig });
  try {
    const config = { ...target().config, port: server.port, user: server.user.name };
    const secret = { private_key: server.privateKey };
    const scanned = await run('ssh-keyscan', ['-t', 'rsa', '-p', String(server.port), server.host]);
    await writeFile(join(keyDir, 'scanned'), scanned);
    const rsa = { fingerprint: (await run('ssh-keygen', ['-l', '-f', join(keyDir, 'scanned')])).split(' ')[1] ?? '' };
    const logged = server.log().length;
    for (const pinned of [rsa.fingerprint, ecdsa.fingerprint, server.fingerprint(), rsa.fingerprint]) {
      await connected({ config, secret, hostKey: { pinned, acceptUnknown: false } }, async (client) => {
        expect(client.fingerprint).toBe(pinned);
      });
    }
    expect(
      server
        .log()
        .slice(logged)
        .match(/Accepted publickey/g),
    ).toHaveLength(4);
    // None of its keys: the one that anybody is shown first is told.
    const changed = connectSsh(
      guard,
      { config, secret, hostKey: { pinned: sshd.fingerprint(), acceptUnknown: false } },
      timeouts,
      signal,
    );
    await expect(changed).rejects.toMatchObject({
      code: 'SSH_HOST_KEY_CHANGED',
      params: { expected: sshd.fingerprint(), actual: server.fingerprint() },
    });
  } finally {
    await server.stop();
  }
});

test('names and scripts reach the shell as they are', async () => {
  await writeFile(join(sshd.dataDir, `it's $(a) "file"`), 'found');
  await connected(target(), async (client) => {
    const path = Buffer.from(join(sshd.dataDir, `it's $(a) "file"`));
    expect((await said(client, posixShell(`${assignBytes('p', path)}; cat "$p"`))).toString()).toBe('found');
    const odd = Buffer.from([0x25, 0x5c, 0x0a, 0xff, 0x21, 0x0a]);
    expect(await said(client, posixShell(`${assignBytes('p', odd)}; printf %s "$p"`))).toEqual(odd);
  });
});
