import type { Socket } from 'node:net';
import { type ErrorCode, XVaultError } from '@xvault/shared/errors.ts';
import { FTPError } from '../../../connectors/ftp/errors.ts';
import { type ChannelLimits, DataChannel } from './ftp-channel.ts';
import { type FtpCommand, isPassed, isRelative, listings, parseCommand, transfers } from './ftp-commands.ts';
import { type FtpReply, LineCutter, replyText } from './ftp-lines.ts';
import type { FtpLogins } from './ftp-logins.ts';
import type { FtpNames } from './ftp-names.ts';
import type { FtpUpstream } from './ftp-upstream.ts';

export interface FtpSessionSettings {
  readonly logins: FtpLogins;
  readonly names: FtpNames;
  /** What the server says it can do, and clients are not told of. */
  readonly hidden: ReadonlySet<string>;
  readonly channels: ChannelLimits;
  readonly isAllowed: (user: string, password: string) => boolean;
}

/** One control connection of rclone's, and the one to the server that goes with it. They end together. */
export class FtpSession {
  readonly #near: Socket;
  readonly #settings: FtpSessionSettings;
  readonly #stop = new AbortController();
  readonly #cutter = new LineCutter();
  #user = '';
  #upstream: FtpUpstream | undefined;
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
    if (this.#upstream !== undefined) this.#settings.logins.giveBack(this.#upstream);
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

  async #answer(given: string): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const asked = parseCommand(given);
    if (asked.verb === 'QUIT') {
      this.#say('221 Goodbye\r\n');
      return this.close();
    }
    if (this.#upstream === undefined) return this.#signIn(asked);
    const { verb } = asked;
    if (verb === 'EPSV' || verb === 'PASV') return this.#passive(verb, this.#upstream);
    if (!isPassed(verb)) return this.#say('502 Not available here\r\n');
    const line = this.#settings.names.lineToServer(given);
    if (line === null || /[\r\0]/.test(line)) return this.#refuse('501 Not a name that FTP can carry\r\n');
    if (this.#settings.hidden.has('UTF8') && /^OPTS UTF8/i.test(line)) return this.#say('200 Always\r\n');
    const command = parseCommand(line);
    // rclone asks for nothing of the kind.
    if (this.#upstream.isAway && isRelative(command)) return this.#refuse('501 Not without a leading slash\r\n');
    if (verb === 'LIST' && command.argument.startsWith('/')) return this.#list(command.argument, this.#upstream);
    return this.#relay(line, command, this.#upstream);
  }

  async #signIn({ verb, argument }: FtpCommand): Promise<void> {
    if (verb === 'USER') {
      this.#user = argument;
      return this.#say('331 Password required\r\n');
    }
    if (verb !== 'PASS') return this.#say('530 Log in first\r\n');
    const { isAllowed, logins } = this.#settings;
    const { signal } = this.#stop;
    try {
      if (!isAllowed(this.#user, argument)) throw new XVaultError('SOURCE_AUTH_FAILED');
      const upstream = await logins.take(signal);
      if (signal.aborted) return logins.giveBack(upstream);
      this.#upstream = upstream;
      upstream.control.ended.then(() => this.close());
      this.#say('230 Logged in\r\n');
    } catch (error) {
      this.#say(refusalOf(error));
      this.close();
    }
  }

  async #passive(verb: 'EPSV' | 'PASV', upstream: FtpUpstream): Promise<void> {
    // The client is done with it, or it would ask for no other one.
    this.#channel?.breakOff();
    this.#channel = undefined;
    try {
      const channel = await DataChannel.open(await upstream.openData(), this.#settings.channels);
      this.#channel = channel;
      if (this.#stop.signal.aborted) return channel.breakOff();
      const { port } = channel;
      const plain = `227 Entering Passive Mode (127,0,0,1,${port >> 8},${port & 0xff})\r\n`;
      this.#say(verb === 'PASV' ? plain : `229 Entering Extended Passive Mode (|||${port}|)\r\n`);
    } catch (error) {
      if (upstream.control.closed) throw error;
      this.#say(`425 No data connection: ${error instanceof FTPError ? error.code : 'the server does not answer'}\r\n`);
    }
  }

  async #list(path: string, upstream: FtpUpstream): Promise<void> {
    const refusal = await upstream.enter(path);
    if (refusal === null) {
      const line = this.#settings.logins.habits.listCommand;
      return this.#relay(line, { verb: 'LIST', argument: '' }, upstream);
    }
    if (refusal.code === 421 || tellsAddress(refusal.code)) return this.close();
    this.#refuse(isDenied(refusal) ? denied : '550 No such directory\r\n');
  }

  /** Before the server was asked, so that it has no word on the data connection either. */
  #refuse(text: string): void {
    this.#channel?.breakOff();
    this.#say(text);
  }

  async #relay(line: string, { verb }: FtpCommand, { control }: FtpUpstream): Promise<void> {
    const { names } = this.#settings;
    const direction = transfers.get(verb);
    const channel = this.#channel;
    if (direction !== undefined) channel?.begin(direction, listings.has(verb) ? names.listingFromServer : null);
    let isUnderWay = false;
    const reply = await control.exchange(line, (early) => {
      // A client counts answers: one too many would be taken for that to its next command.
      if (direction !== undefined && !isUnderWay) this.#say(replyText(names.replyFromServer(early)));
      isUnderWay = true;
    });
    // Where data connections go is not for the server to say, in whatever answer.
    if (tellsAddress(reply.code)) return this.close();
    const unopened = listings.has(verb) && isUnopened(reply);
    const isSuccess = reply.code < 300 && !unopened;
    const isBroken = direction !== undefined && channel?.settle(isSuccess) === false;
    const said = verb === 'FEAT' ? this.#withoutHidden(reply) : reply;
    if (unopened) this.#say(denied);
    else
      this.#say(isSuccess && isBroken ? '426 The data connection broke\r\n' : replyText(names.replyFromServer(said)));
    if (reply.code === 421) this.close();
  }

  #withoutHidden({ code, lines }: FtpReply): FtpReply {
    const { hidden } = this.#settings;
    return { code, lines: lines.filter((line) => !hidden.has(line.trim().split(' ', 1).join('').toUpperCase())) };
  }
}

/** In words that are understood again where rclone's are read; 550 it would take for what is not there. */
const denied = '553 Failed to open directory: permission denied\r\n';

function isDenied({ lines }: FtpReply): boolean {
  return lines.some((line) => /permission|denied|not allowed/i.test(line));
}

/** vsftpd calls the listing of a directory that it could not open a success, and lists nothing. */
function isUnopened({ code, lines }: FtpReply): boolean {
  return code < 300 && lines.some((line) => /failed to open/i.test(line));
}

function tellsAddress(code: number): boolean {
  return code === 227 || code === 228 || code === 229;
}

const words: Partial<Record<ErrorCode, string>> = {
  SOURCE_AUTH_FAILED: '530 Login incorrect',
  SOURCE_TLS_FAILED: '421 certificate not trusted, or no TLS',
  SOURCE_HOST_UNKNOWN: '421 no such host',
  SOURCE_CONNECTION_REFUSED: '421 connection refused',
  SOURCE_RATE_LIMITED: '421 connection refused: too many connections',
  SOURCE_TIMEOUT: '421 timed out',
};

/** In words that are understood again where rclone's are read. */
function refusalOf(error: unknown): string {
  const code = error instanceof XVaultError ? error.code : 'SOURCE_LOST';
  return `${words[code] ?? '421 connection lost'}\r\n`;
}
