import { PassThrough, Readable } from 'node:stream';
import { TLSSocket } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import { Client, type FTPResponse } from 'basic-ftp';
import { connectError, isUnknownCommand } from './errors.ts';
import { type ParsedListing, parseFtpTime, parseLsList, parseMlsd } from './listing.ts';
import { type LoggedIn, logIn } from './login.ts';
import type { ConnectionSettings } from './settings.ts';

const maxListingBytes = 256 * 1024 * 1024;

/** One logged-in connection. It does one thing at a time; after an error that is no refusal it is of no more use. */
export class FtpConnection {
  readonly #client: Client;
  readonly #loggedIn: LoggedIn;
  #listCommand: 'MLSD' | 'LIST -a' | 'LIST';
  #raw = '';

  private constructor(client: Client, loggedIn: LoggedIn) {
    this.#client = client;
    this.#loggedIn = loggedIn;
    this.#listCommand = loggedIn.features.has('MLST') ? 'MLSD' : 'LIST -a';
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
      return new FtpConnection(client, await logIn(client, settings, stop));
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
    return this.#loggedIn.server;
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
    return this.#loggedIn.features.has(feature);
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
    await this.#client.uploadFrom(Readable.from(this.#endingLater(content), { objectMode: false }), path);
  }

  /** The library ends an empty file's connection before TLS has begun. */
  async *#endingLater(content: Readable): AsyncGenerator<Buffer> {
    yield* content;
    await this.#loggedIn.dataReady();
  }

  /** Ends it at once; what it is doing is rejected. */
  close(): void {
    this.#client.close();
  }
}
