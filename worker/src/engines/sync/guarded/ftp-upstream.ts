import { buffer } from 'node:stream/consumers';
import { type DataConnection, passiveDialer } from '../../../connectors/ftp/data-connection.ts';
import { parseLsList } from '../../../connectors/ftp/listing.ts';
import type { FtpControl } from './ftp-control.ts';
import type { FtpReply } from './ftp-lines.ts';
import type { FtpServer, LoggedIn } from './ftp-login.ts';

/** One login at the server, for one session at a time. */
export class FtpUpstream {
  readonly control: FtpControl;
  readonly #dial: (control: FtpControl) => Promise<DataConnection>;
  readonly #stop = new AbortController();
  #isAway = false;

  constructor({ control, address }: LoggedIn, { guard, timeouts }: FtpServer) {
    this.control = control;
    this.#dial = passiveDialer({ guard, address, timeoutMs: timeouts.connectMs, signal: this.#stop.signal });
  }

  /** Throws FTPError, SOURCE_…. */
  openData(): Promise<DataConnection> {
    return this.#dial(this.control);
  }

  /** Whether the working directory is no longer that of the login, so that relative paths mean others. */
  get isAway(): boolean {
    return this.#isAway;
  }

  /**
   * Goes to a directory, as its listing needs: servers take a path behind LIST for a pattern, and show a directory that may not
   * be read as if it held itself. Resolves to the server's words where it refuses.
   */
  async enter(path: string): Promise<FtpReply | null> {
    const reply = await this.control.exchange(`CWD ${path}`);
    if (reply.code >= 300) return reply;
    this.#isAway = true;
    return null;
  }

  /** What the server can do, as it says it, in capitals. */
  async features(): Promise<Set<string>> {
    const { code, lines } = await this.control.exchange('FEAT');
    const named = lines.slice(1, -1).map((line) => line.trim().split(' ', 1).join('').toUpperCase());
    return new Set(code === 211 ? named : []);
  }

  /** Whether `LIST -a` lists a directory, with hidden files: servers that do not know it take `-a` for a name. */
  async listsHidden(path: string): Promise<boolean> {
    if ((await this.enter(path)) !== null) return false;
    const { socket, plain } = await this.openData();
    for (const end of [socket, plain]) end.on('error', () => plain.destroy());
    // Also when nobody waits any more.
    this.control.ended.then(() => plain.destroy());
    const receiving = buffer(socket).catch(() => Buffer.alloc(0));
    const { code } = await this.control.exchange('LIST -a');
    if (code >= 300) plain.destroy();
    return code < 300 && parseLsList((await receiving).toString('latin1'), new Date()).self;
  }

  /** Ends it in order where that takes no longer than a moment. */
  leave(): Promise<void> {
    this.#stop.abort();
    return this.control.leave();
  }
}
