import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Server, type Socket } from 'node:net';
import { LineCutter } from './ftp-lines.ts';

export interface FtpRelayOptions {
  /** Where it listens, control and data. */
  readonly host?: string;
  /** Said in PASV's place of the address; EPSV, which has none, is then not known. Whoever goes there is counted. */
  readonly namedHost?: string;
  /** Data connections that bring so much are reset there, so many times. */
  readonly cut?: { readonly afterBytes: number; times: number };
}

export interface FtpRelay {
  readonly host: string;
  readonly port: number;
  /** Connections to the address that was named. */
  strayed(): number;
  /** Connections of clients that are open now. */
  open(): number;
  /** Of these, control connections. */
  controls(): number;
  bytesToClients(): number;
  close(): Promise<void>;
}

/** A network in front of an FTP server without TLS that names other addresses, breaks connections, and counts them. */
export async function startFtpRelay(targetPort: number, options: FtpRelayOptions = {}): Promise<FtpRelay> {
  const { host = '127.0.0.1', namedHost, cut } = options;
  const servers: Server[] = [];
  const clients = new Set<Socket>();
  let strayed = 0;
  let bytesToClients = 0;

  const listen = async (at: string, port: number, onConnection: (client: Socket) => void) => {
    const server = createServer({ allowHalfOpen: true }, onConnection).listen(port, at);
    servers.push(server);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  const joined = (client: Socket, port: number) => {
    const upstream = dial({ port, host: '127.0.0.1', allowHalfOpen: true });
    clients.add(client);
    client.once('close', () => {
      clients.delete(client);
      upstream.destroy();
    });
    for (const [one, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('end', () => other.end());
    }
    return upstream;
  };

  const dataProxy = async (port: number) => {
    const own = await listen(host, 0, (client) => {
      const upstream = joined(client, port);
      let left = cut !== undefined && cut.times > 0 ? cut.afterBytes : Number.POSITIVE_INFINITY;
      client.on('data', (chunk: Buffer) => upstream.write(chunk));
      upstream.on('data', (chunk: Buffer) => {
        if (left <= 0) return;
        bytesToClients += chunk.length;
        left -= chunk.length;
        const passed = left < 0 ? chunk.subarray(0, left) : chunk;
        const isFull = !client.write(passed);
        if (left <= 0 && cut !== undefined) {
          cut.times -= 1;
          // What was written is out by then.
          client.write('', () => setImmediate(() => client.resetAndDestroy()));
        } else if (isFull) {
          upstream.pause();
          client.once('drain', () => upstream.resume());
        }
      });
    });
    if (namedHost !== undefined) {
      await listen(namedHost, own, (client) => {
        strayed += 1;
        client.destroy();
      });
    }
    return own;
  };

  const rewritten = async (line: string): Promise<string> => {
    const extended = /\(\|\|\|(\d+)\|\)/.exec(line)?.[1];
    if (extended !== undefined) return line.replace(extended, String(await dataProxy(Number(extended))));
    const [all, high, low] = /\(\d+,\d+,\d+,\d+,(\d+),(\d+)\)/.exec(line) ?? [];
    if (!line.startsWith('227') || all === undefined) return line;
    const own = await dataProxy(Number(high) * 256 + Number(low));
    return line.replace(all, `(${(namedHost ?? host).replaceAll('.', ',')},${own >> 8},${own & 0xff})`);
  };

  let controls = 0;
  const port = await listen(host, 0, (client) => {
    controls += 1;
    client.once('close', () => {
      controls -= 1;
    });
    const upstream = joined(client, targetPort);
    client.setEncoding('latin1').on('data', (text: string) => {
      upstream.write(namedHost === undefined ? text : text.replace(/^EPSV/, 'XXXX'), 'latin1');
    });
    const cutter = new LineCutter();
    let replies = Promise.resolve();
    upstream.setEncoding('latin1').on('data', (text: string) => {
      for (const line of cutter.push(text)) {
        replies = replies.then(async () => void client.write(`${await rewritten(line)}\r\n`, 'latin1'));
      }
    });
  });

  return {
    host,
    port,
    strayed: () => strayed,
    open: () => clients.size,
    controls: () => controls,
    bytesToClients: () => bytesToClients,
    async close() {
      for (const client of clients) client.destroy();
      await Promise.all(servers.map((server) => once(server.close(), 'close')));
    },
  };
}
