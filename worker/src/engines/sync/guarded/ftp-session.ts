import type { Socket } from 'node:net';
import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { type DataConnection, passiveDialer } from '../../../connectors/ftp/data-connection.ts';
import { FTPError } from '../../../connectors/ftp/errors.ts';
import { type ChannelLimits, DataChannel } from './ftp-channel.ts';
import { isPassed, parseCommand, transfers } from './ftp-commands.ts';
import type { FtpControl } from './ftp-control.ts';
import { LineCutter, replyText } from './ftp-lines.ts';
import { type FtpServer, logInToFtp } from './ftp-login.ts';

export interface FtpSessionSettings {
  readonly server: FtpServer;
  readonly channels: ChannelLimits;
  readonly isAllowed: (user: string, password: string) => boolean;
}

interface Upstream {
  readonly control: FtpControl;
  readonly openData: (control: FtpControl) => Promise<DataConnection>;
}

/** One control connection of rclone's, and the one to the server that goes with it. They end together. */
export class FtpSession {
  readonly #near: Socket;
  readonly #settings: FtpSessionSettings;
  readonly #stop = new AbortController();
  readonly #cutter = new LineCutter();
  #user = '';
  #upstream: Upstream | undefined;
  #channel: DataChannel | undefined;
  #work: Promise<void> = Promise.resolve();

  constructor(near: Socket, settings: FtpSessionSettings) {
    this.#near = near;
    this.#settings = settings;
    near.setEncoding('latin1');
    near.on('data', (text: string) => this.#take(text));
    near.on('error', () => this.close());
    near.on('end', () => this.close());
    near.on('close', () => this.close());
    this.#say('220 Ready\r\n');
  }

  /** Ends all that belongs to it; a transfer that is under way ends as a loss. */
  close(): void {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort();
    this.#channel?.breakOff();
    this.#upstream?.control.close();
    this.#near.destroySoon();
  }

  #say(text: string): void {
    if (this.#near.writable) this.#near.write(text, 'latin1');
  }

  #take(text: string): void {
    try {
      // Clients wait for each answer, so what comes sooner waits here.
      for (const line of this.#cutter.push(text)) {
        this.#work = this.#work.then(() => this.#answer(line)).catch(() => this.close());
      }
    } catch {
      this.close();
    }
  }

  async #answer(line: string): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const { verb, argument } = parseCommand(line);
    if (verb === 'QUIT') {
      this.#say('221 Goodbye\r\n');
      return this.close();
    }
    if (this.#upstream === undefined) return this.#signIn(verb, argument);
    if (verb === 'EPSV' || verb === 'PASV') return this.#passive(verb, this.#upstream);
    if (!isPassed(verb)) return this.#say('502 Not available here\r\n');
    if (/[\r\0]/.test(line)) return this.#say('501 Not a name that FTP can carry\r\n');
    return this.#relay(line, verb, this.#upstream.control);
  }

  async #signIn(verb: string, argument: string): Promise<void> {
    if (verb === 'USER') {
      this.#user = argument;
      return this.#say('331 Password required\r\n');
    }
    if (verb !== 'PASS') return this.#say('530 Log in first\r\n');
    const { isAllowed, server } = this.#settings;
    const { signal } = this.#stop;
    try {
      if (!isAllowed(this.#user, argument)) throw new XVaultError('SOURCE_AUTH_FAILED');
      const { control, address } = await logInToFtp(server, signal);
      this.#upstream = this.#upstreamOf(control, address);
      if (signal.aborted) return control.close();
      control.ended.then(() => this.close());
      this.#say('230 Logged in\r\n');
    } catch (error) {
      this.#say(refusalOf(error));
      this.close();
    }
  }

  #upstreamOf(control: FtpControl, address: string): Upstream {
    const { guard, timeouts } = this.#settings.server;
    const { signal } = this.#stop;
    return { control, openData: passiveDialer({ guard, address, timeoutMs: timeouts.connectMs, signal }) };
  }

  async #passive(verb: 'EPSV' | 'PASV', { control, openData }: Upstream): Promise<void> {
    // The client is done with it, or it would ask for no other one.
    this.#channel?.breakOff();
    this.#channel = undefined;
    try {
      const channel = await DataChannel.open(await openData(control), this.#settings.channels);
      this.#channel = channel;
      if (this.#stop.signal.aborted) return channel.breakOff();
      const { port } = channel;
      const plain = `227 Entering Passive Mode (127,0,0,1,${port >> 8},${port & 0xff})\r\n`;
      this.#say(verb === 'PASV' ? plain : `229 Entering Extended Passive Mode (|||${port}|)\r\n`);
    } catch (error) {
      if (control.closed) throw error;
      this.#say(`425 No data connection: ${error instanceof FTPError ? error.code : 'the server does not answer'}\r\n`);
    }
  }

  async #relay(line: string, verb: string, control: FtpControl): Promise<void> {
    const direction = transfers.get(verb);
    const channel = this.#channel;
    if (direction !== undefined) channel?.begin(direction);
    let isUnderWay = false;
    const reply = await control.exchange(line, (early) => {
      // A client counts answers: one too many would be taken for that to its next command.
      if (direction !== undefined && !isUnderWay) this.#say(replyText(early));
      isUnderWay = true;
    });
    // Where data connections go is not for the server to say, in whatever answer.
    if (tellsAddress(reply.code)) return this.close();
    const isSuccess = reply.code < 300;
    const isBroken = direction !== undefined && channel?.settle(isSuccess) === false;
    this.#say(isSuccess && isBroken ? '426 The data connection broke\r\n' : replyText(reply));
    if (reply.code === 421) this.close();
  }
}

function tellsAddress(code: number): boolean {
  return code === 227 || code === 228 || code === 229;
}

const words: Partial<Record<ErrorCode, string>> = {
  SOURCE_AUTH_FAILED: '530 Login incorrect',
  SOURCE_TLS_FAILED: '421 certificate not trusted, or no TLS',
  SOURCE_HOST_UNKNOWN: '421 no such host',
  SOURCE_CONNECTION_REFUSED: '421 connection refused',
  SOURCE_TIMEOUT: '421 timed out',
};

/** In words that are understood again where rclone's are read. */
function refusalOf(error: unknown): string {
  const code = error instanceof XVaultError ? error.code : 'SOURCE_LOST';
  return `${words[code] ?? '421 connection lost'}\r\n`;
}
