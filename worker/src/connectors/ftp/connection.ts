import { isIP, type Socket } from 'node:net';
import { PassThrough, type Readable } from 'node:stream';
import { type ConnectionOptions, rootCertificates, TLSSocket, connect as tlsConnect } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import type { FtpConfig, FtpSecret } from '@xvault/shared/sources.ts';
import { Client, type FTPResponse } from 'basic-ftp';
import type { AddressGuard } from '../../net/guard.ts';
import { passiveMode } from './data-connection.ts';
import { connectError, FTPError, isRefusal, isUnknownCommand, saidBy, tlsError } from './errors.ts';
import { type ParsedListing, parseFtpTime, parseLsList, parseMlsd } from './listing.ts';

export interface FtpTimeouts {
  /** For the dialling of one connection. */
  readonly connectMs: number;
  /** From dialling to being logged in. */
  readonly loginMs: number;
  /** Without a byte or an answer for so long, a connection is lost. */
  readonly stallMs: number;
}

export interface ConnectionSettings {
  readonly guard: AddressGuard;
  readonly config: FtpConfig;
  readonly secret: FtpSecret;
  readonly timeouts: FtpTimeouts;
}

const maxListingBytes = 256 * 1024 * 1024;
const facts = ['type', 'size', 'modify', 'unique', 'unix.mode', 'unix.uid', 'unix.gid', 'unix.owner', 'unix.group'];

/** One logged-in connection. It does one thing at a time; after an error that is no refusal it is of no more use. */
export class FtpConnection {
  readonly #client: Client;
  readonly #server: string;
  readonly #features: ReadonlyMap<string, string>;
  #listCommand: 'MLSD' | 'LIST -a' | 'LIST';
  #raw = '';

  private constructor(client: Client, server: string, features: ReadonlyMap<string, string>) {
    this.#client = client;
    this.#server = server;
    this.#features = features;
    this.#listCommand = features.has('MLST') ? 'MLSD' : 'LIST -a';
    client.parseList = (raw) => {
      this.#raw = raw;
      return [];
    };
  }

  /** Throws SOURCE_… errors, or the signal's reason. */
  static async open(settings: ConnectionSettings, signal: AbortSignal): Promise<FtpConnection> {
    const { config, timeouts } = settings;
    const limit = AbortSignal.timeout(timeouts.loginMs);
    const client = new Client(timeouts.stallMs, { allowSeparateTransferHost: false, maxListingBytes });
    const stop = AbortSignal.any([signal, limit]);
    const close = () => client.close();
    stop.addEventListener('abort', close, { once: true });
    try {
      const { server, features } = await logIn(client, settings, stop);
      return new FtpConnection(client, server, features);
    } catch (error) {
      client.close();
      signal.throwIfAborted();
      if (limit.aborted)
        throw new XVaultError('SOURCE_TIMEOUT', { detail: `logging in to ${config.host} took too long` });
      throw connectError(error, `logging in to ${config.host}`);
    } finally {
      stop.removeEventListener('abort', close);
    }
  }

  /** What it said of itself at the beginning. */
  get server(): string {
    return this.#server;
  }

  get closed(): boolean {
    return this.#client.closed;
  }

  get tlsVersion(): string | null {
    const { socket } = this.#client.ftp;
    return socket instanceof TLSSocket ? socket.getProtocol() : null;
  }

  get listCommand(): string {
    return this.#listCommand;
  }

  has(feature: string): boolean {
    return this.#features.has(feature);
  }

  /** Throws FTPError where the server refuses. */
  command(line: string): Promise<FTPResponse> {
    return this.#client.send(line);
  }

  /** The directory's content. The working directory is changed, for a path in LIST may be taken for a pattern. */
  async list(path: string): Promise<ParsedListing> {
    await this.command(`CWD ${path}`);
    if (this.#listCommand === 'MLSD') return parseMlsd(await this.#listRaw());
    const listing = parseLsList(await this.#listRaw(), new Date());
    if (listing.self || this.#listCommand === 'LIST') return listing;
    // Without `.` and `..` the server has not taken `-a`, and may have taken it for a name.
    this.#listCommand = 'LIST';
    const plain = parseLsList(await this.#listRaw(), new Date());
    if (plain.items.length > listing.items.length) return plain;
    this.#listCommand = 'LIST -a';
    return listing;
  }

  async #listRaw(): Promise<string> {
    this.#client.availableListCommands = [this.#listCommand];
    await this.#client.list();
    return this.#raw;
  }

  /** Null where the server cannot tell; throws FTPError where there is no such file. */
  async size(path: string): Promise<number | null> {
    const digits = await this.#asked(`SIZE ${path}`, /^213[ -](\d{1,16})/);
    return digits === null ? null : Number(digits);
  }

  async mtimeNs(path: string): Promise<bigint | null> {
    const text = await this.#asked(`MDTM ${path}`, /^213[ -](\S+)/);
    return text === null ? null : (parseFtpTime(text) ?? null);
  }

  async #asked(line: string, answer: RegExp): Promise<string | null> {
    try {
      return answer.exec((await this.command(line)).message)?.[1] ?? null;
    } catch (error) {
      if (isUnknownCommand(error)) return null;
      throw error;
    }
  }

  /** The bytes from an offset on. Stopping before the end costs the connection. */
  async *read(path: string, fromByte: number): AsyncGenerator<Buffer> {
    const sink = new PassThrough({ highWaterMark: 512 * 1024 });
    const transfer = this.#client.downloadTo(sink, path, fromByte);
    const failed = transfer.then(
      () => undefined,
      (error: unknown) => {
        sink.destroy();
        return { error };
      },
    );
    let ended = false;
    try {
      yield* sink;
      ended = true;
    } catch (error) {
      ended = true;
      // What the control connection says is nearer to the cause than the stream's end.
      throw (await failed)?.error ?? error;
    } finally {
      sink.destroy();
      // The server goes on sending, and its reply would be taken for that to the next command.
      if (!ended) this.close();
    }
    const failure = await failed;
    if (failure) throw failure.error;
  }

  /** Throws FTPError where the server refuses. */
  async write(path: string, content: Readable): Promise<void> {
    await this.#client.uploadFrom(content, path);
  }

  /** Ends it at once; what it is doing is rejected. */
  close(): void {
    this.#client.close();
  }
}

interface LoggedIn {
  readonly server: string;
  readonly features: ReadonlyMap<string, string>;
}

async function logIn(client: Client, settings: ConnectionSettings, stop: AbortSignal): Promise<LoggedIn> {
  const { guard, config, secret, timeouts } = settings;
  const port = config.port ?? (config.tls === 'implicit' ? 990 : 21);
  const plain = await guard.dial(config.host, port, { timeoutMs: timeouts.connectMs, signal: stop });
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
  client.prepareTransfer = passiveMode({
    guard,
    address: plain.remoteAddress ?? config.host,
    timeoutMs: timeouts.connectMs,
  });
  if (config.tls === 'explicit') await startTls(client, options);
  await signIn(client, wireText(config.user, config), wireText(secret.password, config));
  const features = upperCased(await client.features());
  await client.send('TYPE I');
  if (config.encoding === 'utf-8') await client.sendIgnoringError('OPTS UTF8 ON');
  if (features.has('MLST')) await client.sendIgnoringError(`OPTS MLST ${offeredFacts(features.get('MLST') ?? '')}`);
  if (config.tls !== 'none') await protectData(client);
  return { server, features };
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

function tlsOptionsOf({ host, tls_verify, ca_pem }: FtpConfig): ConnectionOptions {
  return {
    host,
    ...(isIP(host) === 0 && { servername: host }),
    rejectUnauthorized: tls_verify,
    ...(ca_pem !== null && { ca: [...rootCertificates, ca_pem] }),
  };
}

async function takeEncrypted(client: Client, plain: Socket, options: ConnectionOptions, stop: AbortSignal) {
  const socket = tlsConnect({ ...options, socket: plain });
  let session: Buffer | undefined;
  const keep = (next: Buffer) => {
    session = next;
  };
  socket.on('session', keep);
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(stop.reason);
    stop.addEventListener('abort', onAbort, { once: true });
    socket.once('secureConnect', resolve);
    socket.once('error', reject);
    socket.once('close', () => reject(new XVaultError('SOURCE_TLS_FAILED', { detail: 'closed during the handshake' })));
  });
  socket.removeAllListeners('error');
  socket.removeAllListeners('close');
  client.ftp.socket = socket;
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
function wireText(text: string, { encoding }: FtpConfig): string {
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
