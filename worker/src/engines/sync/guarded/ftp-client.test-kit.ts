import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { type FtpReply, LineCutter, ReplyReader } from './ftp-lines.ts';

export interface Received {
  readonly data: Buffer;
  /** How it ended: in order, or by an error's code. */
  readonly end: string;
}

/** An FTP client of bare sockets, which hides nothing of how connections end. */
export class TestFtpClient {
  readonly #socket: Socket;
  readonly #replies: FtpReply[] = [];
  #wake: () => void = () => undefined;
  #isEnded = false;

  private constructor(port: number) {
    const cutter = new LineCutter();
    const reader = new ReplyReader();
    this.#socket = connect(port, '127.0.0.1').setEncoding('latin1');
    this.#socket.on('data', (text: string) => {
      for (const line of cutter.push(text)) {
        const reply = reader.push(line);
        if (reply !== undefined) this.#replies.push(reply);
      }
      this.#wake();
    });
    this.#socket.on('error', () => undefined);
    this.#socket.on('close', () => {
      this.#isEnded = true;
      this.#wake();
    });
  }

  static async connect(to: { readonly port: number }): Promise<TestFtpClient> {
    const client = new TestFtpClient(to.port);
    await client.reply();
    return client;
  }

  static async logIn(to: { readonly port: number; readonly user: string; readonly password: string }) {
    const client = await TestFtpClient.connect(to);
    await client.ask(`USER ${to.user}`);
    const said = await client.ask(`PASS ${to.password}`);
    if (said.code !== 230) throw new Error(said.lines.join());
    return client;
  }

  /** The next one; of code 0 when there comes none any more. */
  async reply(): Promise<FtpReply> {
    for (;;) {
      const reply = this.#replies.shift();
      if (reply !== undefined) return reply;
      if (this.#isEnded) return { code: 0, lines: [] };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  ask(line: string): Promise<FtpReply> {
    this.#socket.write(`${line}\r\n`, 'latin1');
    return this.reply();
  }

  async dataPort(verb: 'EPSV' | 'PASV' = 'EPSV'): Promise<number> {
    const { lines } = await this.ask(verb);
    const said = lines.join();
    const [, high, low] = /\(127,0,0,1,(\d+),(\d+)\)/.exec(said) ?? [];
    const port = verb === 'EPSV' ? Number(/\(\|\|\|(\d+)\|\)/.exec(said)?.[1]) : Number(high) * 256 + Number(low);
    if (!Number.isInteger(port)) throw new Error(`no port: ${said}`);
    return port;
  }

  async openData(verb?: 'EPSV' | 'PASV'): Promise<Socket> {
    const socket = connect({ port: await this.dataPort(verb), host: '127.0.0.1', allowHalfOpen: true });
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    return socket;
  }

  /** What a command brings over a data connection, and the last reply to it. */
  async download(command: string, verb?: 'EPSV' | 'PASV'): Promise<Received & { readonly reply: FtpReply }> {
    const socket = await this.openData(verb);
    const receiving = receive(socket);
    const first = await this.ask(command);
    const received = await receiving;
    socket.destroy();
    return { ...received, reply: first.code < 200 ? await this.reply() : first };
  }

  async upload(command: string, content: Buffer, verb?: 'EPSV' | 'PASV'): Promise<FtpReply> {
    const socket = await this.openData(verb);
    const first = await this.ask(command);
    if (first.code >= 200) {
      socket.destroy();
      return first;
    }
    socket.end(content);
    const last = await this.reply();
    socket.destroy();
    return last;
  }

  close(): void {
    this.#socket.destroy();
  }
}

export function receive(socket: Socket): Promise<Received> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = [];
    const done = (end: string) => resolve({ data: Buffer.concat(chunks), end });
    const codeOf = (error: NodeJS.ErrnoException) => error.code ?? error.message;
    if (socket.destroyed) return done(socket.errored === null ? 'close' : codeOf(socket.errored));
    socket.on('data', (chunk: Buffer) => void chunks.push(chunk));
    socket.once('end', () => done('end'));
    socket.once('error', (error) => done(codeOf(error)));
    socket.once('close', () => done('close'));
  });
}
