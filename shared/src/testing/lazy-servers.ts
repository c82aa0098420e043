import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How to start a server that few tests need; `access` is plain data for whoever asks. */
export interface LazyServer {
  readonly access: unknown;
  close(): Promise<void>;
}

export interface LazyServers {
  /** `GET <url>/<name>` starts the server of that name, once, and answers with its access. */
  readonly url: string;
  close(): Promise<void>;
}

/** Keeps servers of a whole test run that are started only when the first test asks for them. */
export async function offerLazyServers(
  starters: Readonly<Record<string, () => Promise<LazyServer>>>,
): Promise<LazyServers> {
  const started = new Map<string, Promise<LazyServer>>();
  const http = createServer((request, response) => {
    const name = (request.url ?? '').slice(1);
    const starter = starters[name];
    if (starter === undefined) {
      response.writeHead(404).end(`no server called ${name}`);
      return;
    }
    const server = started.get(name) ?? starter();
    started.set(name, server);
    server.then(
      ({ access }) => response.end(JSON.stringify(access)),
      (error: unknown) => response.writeHead(500).end(String(error)),
    );
  });
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    async close() {
      http.close();
      http.closeAllConnections();
      for (const server of await Promise.allSettled(started.values())) {
        if (server.status === 'fulfilled') await server.value.close();
      }
    },
  };
}

/** Access of the run's server of that name; the first to ask waits for its start. */
export async function lazyServer(url: string, name: string): Promise<unknown> {
  const response = await fetch(`${url}/${name}`);
  const text = await response.text();
  if (!response.ok) throw new Error(`${name} could not be started: ${text}`);
  return JSON.parse(text);
}
