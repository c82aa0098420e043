import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { makeKey, startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { targetOf, testSftpConnector } from '../../testing/sftp-client.ts';

const { signal } = new AbortController();
const connector = testSftpConnector();
let sshd: TestSshd;
let keyDir: string;

beforeAll(async () => {
  keyDir = await mkdtemp(join(tmpdir(), 'xvault-keys-'));
  sshd = await startSshd();
});

afterAll(async () => {
  await sshd?.stop();
  await rm(keyDir, { recursive: true, force: true });
});

async function logIn(
  secret: { password?: string; private_key?: string; passphrase?: string },
  server = sshd,
): Promise<void> {
  const session = await connector.connect(targetOf(server), secret, signal);
  await session.close();
}

test('a password opens the source', async () => {
  await logIn({ password: sshd.user.password });
});

test('a wrong password is said to be wrong, and is in no error', async () => {
  const password = 'a-wrong-password-4711';
  const error: unknown = await logIn({ password }).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
  expect(inspect(error, { depth: 10, showHidden: true })).not.toContain(password);
  expect(sshd.log()).toContain('Failed password');
});

test('a private key opens the source; one that is not let in does not', async () => {
  await logIn({ private_key: sshd.privateKey });
  const stranger = await makeKey(join(keyDir, 'stranger'), 'ed25519');
  await expect(logIn({ private_key: stranger.privateText })).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
});

test('a key that is refused gives way to the password', async () => {
  const stranger = await makeKey(join(keyDir, 'stranger2'), 'rsa');
  await logIn({ private_key: stranger.privateText, password: sshd.user.password });
});

test.each(['rsa', 'ecdsa', 'ed25519'] as const)('an %s key with a passphrase', async (type) => {
  const key = await makeKey(join(keyDir, `locked-${type}`), type, 'open sesame');
  await sshd.authorize(key.publicLine);
  await logIn({ private_key: key.privateText, passphrase: 'open sesame' });
  for (const passphrase of ['close sesame', undefined]) {
    const secret = { private_key: key.privateText, ...(passphrase === undefined ? {} : { passphrase }) };
    const error: unknown = await logIn(secret).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'SOURCE_KEY_INVALID' });
    expect(inspect(error, { depth: 10, showHidden: true })).not.toContain('sesame');
  }
});

test('a PKCS#8 key is understood', async () => {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const private_key = privateKey
    .export({ type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'pw' })
    .toString();
  // Understood, so it is the server that refuses it.
  await expect(logIn({ private_key, passphrase: 'pw' })).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
  await expect(logIn({ private_key, passphrase: 'no' })).rejects.toMatchObject({ code: 'SOURCE_KEY_INVALID' });
});

test('what is no private key is refused before anything is dialled', async () => {
  const { publicLine } = await makeKey(join(keyDir, 'public'), 'ed25519');
  for (const private_key of ['not a key', publicLine]) {
    const target = targetOf(sshd, { port: await freePort() });
    await expect(connector.connect(target, { private_key }, signal)).rejects.toMatchObject({
      code: 'SOURCE_KEY_INVALID',
    });
  }
});

test('keyboard-interactive answers the password where a password is asked for', async () => {
  const server = await startSshd({ login: 'keyboard-interactive' });
  try {
    await logIn({ password: server.user.password }, server);
    await expect(logIn({ password: 'wrong' }, server)).rejects.toMatchObject({ code: 'SOURCE_AUTH_FAILED' });
    expect(server.log()).toContain('keyboard-interactive/pam');
  } finally {
    await server.stop();
  }
});

test('a key and then a password, where the server wants both', async () => {
  const server = await startSshd({ extraConfig: ['AuthenticationMethods publickey,password'] });
  try {
    await logIn({ private_key: server.privateKey, password: server.user.password }, server);
    await expect(logIn({ private_key: server.privateKey }, server)).rejects.toMatchObject({
      code: 'SOURCE_AUTH_FAILED',
    });
  } finally {
    await server.stop();
  }
});

test.each(['echo this account is only a shell', 'true'])(
  'a server without SFTP (%s) is said to be none',
  async (command) => {
    const server = await startSshd({ extraConfig: [`ForceCommand ${command}`] });
    try {
      await expect(logIn({ private_key: server.privateKey }, server)).rejects.toMatchObject({
        code: 'SOURCE_PROTOCOL',
      });
    } finally {
      await server.stop();
    }
  },
);
