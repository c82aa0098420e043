import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { LineCutter } from './ftp-lines.ts';

export interface Said {
  readonly verb: string;
  readonly line: string;
  say(text: string): void;
  /** The data connection that was asked for last. */
  data(): Promise<Socket>;
}

export interface ScriptedFtp {
  readonly port: number;
  readonly heard: string[];
  close(): Promise<void>;
}

/** A server that lets everybody in and otherwise says and does what a test wants, as no honest one would. */
export async function startScriptedFtp(act: (said: Said) => unknown): Promise<ScriptedFtp> {
  const heard: string[] = [];
  const sockets = new Set<Socket>();
  const kept = (socket: Socket) => {
    sockets.add(socket.on('error', () => undefined));
    return socket;
  };
  const server = createServer((client) => {
    const say = (text: string) => void kept(client).write(text, 'latin1');
    let data = Promise.withResolvers<Socket>();
    const passive = async () => {
      data = Promise.withResolvers<Socket>();
      const listener = createServer({ allowHalfOpen: true }, (socket) => {
        listener.close();
        data.resolve(kept(socket));
      });
      await once(listener.listen(0, '127.0.0.1'), 'listening');
      say(`229 Here (|||${(listener.address() as AddressInfo).port}|)\r\n`);
    };
    const answer = (line: string): unknown => {
      const verb = line.split(' ', 1).join('').toUpperCase();
      heard.push(line);
      if (verb === 'USER') return say('331 And?\r\n');
      if (verb === 'PASS') return say('230 In\r\n');
      if (verb === 'FEAT') return say('211-It has\r\n MLST type*;size*;\r\n211 no more\r\n');
      return verb === 'EPSV' ? passive() : act({ verb, line, say, data: () => data.promise });
    };
    const cutter = new LineCutter();
    kept(client).setEncoding('latin1');
    client.on('data', (text: string) => {
      for (const line of cutter.push(text)) void answer(line);
    });
    say('220 Hello\r\n');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    heard,
    async close() {
      for (const socket of sockets) socket.destroy();
      await once(server.close(), 'close');
    },
  };
}
