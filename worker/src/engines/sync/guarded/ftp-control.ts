import type { Socket } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import { XVaultError } from '@xvault/shared/errors.ts';
import { FTPError } from 'basic-ftp';
import type { ControlConnection } from '../../../connectors/ftp/data-connection.ts';
import { type FtpReply, LineCutter, ReplyReader } from './ftp-lines.ts';

const keepAliveMs = 60_000;
const leaveMs = 1000;

interface Exchange {
  resolve(reply: FtpReply): void;
  reject(error: unknown): void;
  readonly onPreliminary: (reply: FtpReply) => void;
}

/** The control connection to a server: one command at a time, and nothing that was not asked for comes through. */
export class FtpControl implements ControlConnection {
  readonly socket: Socket;
  tlsOptions: ConnectionOptions = {};
  tlsSessionStore: Buffer | undefined;
  readonly #answerMs: number;
  readonly #cutter = new LineCutter();
  readonly #reader = new ReplyReader();
  readonly #end = Promise.withResolvers<void>();
  #exchange: Exchange | undefined;
  #timer: NodeJS.Timeout | undefined;
  #failure: unknown;
  #wasUnasked = false;

  /** @param answerMs how long one answer may take. */
  constructor(socket: Socket, answerMs: number) {
    this.socket = socket;
    this.#answerMs = answerMs;
    socket.setEncoding('latin1');
    socket.setKeepAlive(true, keepAliveMs);
    socket.on('data', this.#onData);
    socket.on('error', this.#fail);
    socket.on('end', this.#onEnd);
    socket.on('close', this.#onEnd);
  }

  get closed(): boolean {
    return this.#failure !== undefined;
  }

  /** Resolves when it can be used no more. */
  get ended(): Promise<void> {
    return this.#end.promise;
  }

  /**
   * Sends a command, or nothing where a greeting is due, and resolves to the last answer to it. There is no limit of time
   * after a preliminary one: then it is the transfer that takes long. Throws SOURCE_… and errors of the socket.
   */
  exchange(line: string | null, onPreliminary: (reply: FtpReply) => void = () => undefined): Promise<FtpReply> {
    return new Promise((resolve, reject) => {
      if (this.#failure !== undefined) return reject(this.#failure);
      if (this.#exchange !== undefined) return reject(new Error('two commands at once'));
      this.#exchange = { resolve, reject, onPreliminary };
      this.#timer = setTimeout(() => {
        this.#fail(new XVaultError('SOURCE_TIMEOUT', { detail: 'no answer over the control connection' }));
      }, this.#answerMs);
      if (line !== null) this.socket.write(`${line}\r\n`, 'latin1');
    });
  }

  /** As {@link exchange}; throws FTPError where the server refuses. */
  async request(line: string | null): Promise<{ code: number; message: string }> {
    const { code, lines } = await this.exchange(line);
    const said = { code, message: lines.join('\n') };
    if (code >= 400) throw new FTPError(said);
    return said;
  }

  /** Gives the socket to somebody else, who begins to read at this point. Throws SOURCE_PROTOCOL where more has come already. */
  release(): Socket {
    this.socket.pause();
    this.socket.removeListener('data', this.#onData);
    this.socket.removeListener('error', this.#fail);
    this.socket.removeListener('end', this.#onEnd);
    this.socket.removeListener('close', this.#onEnd);
    // What came readable must not be taken for something that came encrypted.
    const isMidway = this.#cutter.rest !== '' || this.#reader.isOpen || this.socket.readableLength > 0;
    if (isMidway || this.#wasUnasked) {
      throw new XVaultError('SOURCE_PROTOCOL', { detail: 'the server spoke when it should not' });
    }
    return this.socket;
  }

  /** Says goodbye and waits a moment for the server to end it: until then it counts against those that the server lets in. */
  async leave(): Promise<void> {
    if (this.closed) return;
    this.socket.write('QUIT\r\n');
    const timer = setTimeout(() => this.close(), leaveMs);
    await this.ended;
    clearTimeout(timer);
  }

  close(): void {
    this.#fail(new XVaultError('SOURCE_LOST', { detail: 'the control connection was closed' }));
  }

  readonly #onEnd = () => this.#fail(new XVaultError('SOURCE_LOST', { detail: 'the server ended the connection' }));

  readonly #fail = (error: unknown) => {
    if (this.#failure !== undefined) return;
    this.#failure = error;
    clearTimeout(this.#timer);
    this.socket.destroy();
    this.#exchange?.reject(error);
    this.#exchange = undefined;
    this.#end.resolve();
  };

  readonly #onData = (text: string) => {
    try {
      for (const line of this.#cutter.push(text)) {
        const reply = this.#reader.push(line);
        if (reply !== undefined) this.#take(reply);
      }
    } catch (error) {
      this.#fail(error);
    }
  };

  #take(reply: FtpReply): void {
    const exchange = this.#exchange;
    // Nobody has asked: taken for the answer to the next command, it would put every further one off by one.
    if (exchange === undefined) {
      this.#wasUnasked = true;
      return;
    }
    clearTimeout(this.#timer);
    if (reply.code < 200) {
      exchange.onPreliminary(reply);
    } else {
      this.#exchange = undefined;
      exchange.resolve(reply);
    }
  }
}
