import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FtpConfig } from '@xvault/shared/sources.ts';
import type { Client } from 'basic-ftp';
import { passiveMode } from './data-connection.ts';
import { FTPError, isRefusal, saidBy, tlsError } from './errors.ts';
import { type ConnectionSettings, ftpPort } from './settings.ts';
import { encryptControl, tlsOptionsOf } from './tls.ts';

const facts = ['type', 'size', 'modify', 'unique', 'unix.mode', 'unix.uid', 'unix.gid', 'unix.owner', 'unix.group'];

export interface LoggedIn {
  readonly server: string;
  readonly features: ReadonlyMap<string, string>;
  /** Resolves when the latest data connection may be ended. */
  readonly dataReady: () => Promise<void>;
}

/** From dialling to being ready for work. Throws what {@link connectError} understands; closing the client is the caller's. */
export async function logIn(client: Client, settings: ConnectionSettings, stop: AbortSignal): Promise<LoggedIn> {
  const { guard, config, secret, timeouts } = settings;
  const plain = await guard.dial(config.host, ftpPort(config), { timeoutMs: timeouts.connectMs, signal: stop });
  const { ftp } = client;
  // Bytes, one to a character: names are not always of the encoding that they should be.
  ftp.encoding = 'latin1';
  const options = tlsOptionsOf(config);
  try {
    if (config.tls === 'implicit') await takeEncrypted(client, plain, options, stop);
    else ftp.socket = plain;
  } catch (error) {
    plain.destroy();
    throw error;
  }
  stop.throwIfAborted();
  const server = await greeting(client);
  const address = plain.remoteAddress ?? config.host;
  const data = passiveMode({ guard, address, timeoutMs: timeouts.connectMs });
  client.prepareTransfer = data.prepare;
  if (config.tls === 'explicit') await startTls(client, options);
  await signIn(client, wireText(config.user, config), wireText(secret.password, config));
  const features = upperCased(await client.features());
  await client.send('TYPE I');
  if (config.encoding === 'utf-8') await client.sendIgnoringError('OPTS UTF8 ON');
  if (features.has('MLST')) await client.sendIgnoringError(`OPTS MLST ${offeredFacts(features.get('MLST') ?? '')}`);
  if (config.tls !== 'none') await protectData(client);
  return { server, features, dataReady: data.ready };
}

function greeting(client: Client): Promise<string> {
  return client.ftp.handle(undefined, (answer, task) => {
    if (answer instanceof Error) task.reject(answer);
    else if (answer.code >= 200 && answer.code < 300) task.resolve(firstLine(answer.message));
    // 120: ready in some minutes.
    else task.reject(new FTPError(answer));
  });
}

function firstLine(message: string): string {
  return message
    .replace(/^\d{3}[ -]/, '')
    .split(/\r?\n/, 1)
    .join('')
    .replace(/[^\x20-\x7e]/g, '?')
    .slice(0, 200);
}

async function takeEncrypted(client: Client, plain: Socket, options: ConnectionOptions, stop: AbortSignal) {
  let session: Buffer | undefined;
  const keep = (next: Buffer) => {
    session = next;
  };
  client.ftp.socket = await encryptControl(plain, options, keep, stop);
  client.ftp.tlsOptions = options;
  client.ftp.tlsSessionStore = session;
}

async function startTls(client: Client, options: ConnectionOptions): Promise<void> {
  try {
    await client.useTLS(options);
  } catch (error) {
    if (isRefusal(error)) {
      const detail = `the server does not take TLS: ${saidBy(error)}`;
      throw new XVaultError('SOURCE_TLS_FAILED', { detail, cause: error });
    }
    throw error;
  }
}

async function signIn(client: Client, user: string, password: string): Promise<void> {
  try {
    await client.login(user, password);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    throw new XVaultError('SOURCE_AUTH_FAILED', { detail: `the server answered ${error.code}` });
  }
}

/** File contents must not go readable over a connection that is taken for encrypted. */
async function protectData(client: Client): Promise<void> {
  try {
    await client.send('PBSZ 0');
    await client.send('PROT P');
  } catch (error) {
    throw isRefusal(error) ? tlsError(new Error(`data connections stay readable: ${saidBy(error)}`)) : error;
  }
}

/** What goes over the wire, one character to a byte. Throws SOURCE_AUTH_FAILED where the protocol cannot carry it. */
export function wireText(text: string, { encoding }: FtpConfig): string {
  const wire = encoding === 'latin1' ? text : Buffer.from(text).toString('latin1');
  const fits = !/[\r\n\0]/.test(wire) && [...wire].every((letter) => letter.charCodeAt(0) <= 0xff);
  if (!fits)
    throw new XVaultError('SOURCE_AUTH_FAILED', { detail: 'the user name or password cannot be sent over FTP' });
  return wire;
}

function upperCased(features: ReadonlyMap<string, string>): Map<string, string> {
  return new Map([...features].map(([name, value]) => [name.toUpperCase(), value]));
}

function offeredFacts(offered: string): string {
  const names = new Set(offered.toLowerCase().replaceAll('*', '').split(';'));
  return facts
    .filter((fact) => names.has(fact))
    .map((fact) => `${fact};`)
    .join('');
}
