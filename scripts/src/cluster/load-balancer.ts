import { once } from 'node:events';
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export interface LoadBalancer {
  readonly port: number;
  close(): Promise<void>;
}

interface Target {
  readonly port: number;
  readonly sockets: Set<Socket>;
  failures: number;
}

/** A connection is ended in its first pause after this, so that the load comes back to a Hub that was away. */
const connectionAgeMs = 3_000;
const pauseMs = 150;

const checkIntervalMs = 300;
const checkTimeoutMs = 700;
/** Failed checks after which a target gets no more connections and loses those it has. */
const failuresAllowed = 2;

/** What stands before several Hubs: each connection goes to the next one that is well. */
export async function startLoadBalancer(ports: readonly number[]): Promise<LoadBalancer> {
  const targets: Target[] = ports.map((port) => ({ port, sockets: new Set(), failures: 0 }));
  const closing = new AbortController();
  let turn = 0;

  const server = createServer({ pauseOnConnect: true }, (client) => {
    client.on('error', () => client.destroy());
    turn += 1;
    const well = targets.filter((target) => target.failures < failuresAllowed);
    const order = well.map((_, index) => well[(turn + index) % well.length]).filter((target) => target !== undefined);
    void connectFirst(order).then((connected) => {
      if (connected === undefined) client.resetAndDestroy();
      else join(client, connected.upstream, connected.target);
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const checks = Promise.all(targets.map((target) => watch(target, closing.signal)));

  return {
    port: (server.address() as AddressInfo).port,
    async close() {
      closing.abort();
      server.close();
      for (const target of targets) dropAll(target);
      await checks;
    },
  };
}

async function connectFirst(order: readonly Target[]): Promise<{ upstream: Socket; target: Target } | undefined> {
  for (const target of order) {
    const upstream = dial(target.port, '127.0.0.1').setNoDelay(true);
    try {
      await once(upstream, 'connect');
      return { upstream, target };
    } catch {
      // Nobody listens there: the next one may.
      upstream.destroy();
    }
  }
  return undefined;
}

function join(client: Socket, upstream: Socket, target: Target): void {
  for (const socket of [client, upstream]) {
    target.sockets.add(socket);
    socket.once('close', () => target.sockets.delete(socket));
  }
  client.setNoDelay(true);
  const endBoth = () => {
    client.destroy();
    upstream.destroy();
  };
  pipeline(client, upstream).then(undefined, endBoth);
  pipeline(upstream, client).then(undefined, endBoth);
  endInPause(upstream);
}

function endInPause(socket: Socket): void {
  const bornMs = performance.now();
  let seenBytes = -1;
  const timer = setInterval(() => {
    const bytes = socket.bytesRead + socket.bytesWritten;
    if (bytes === seenBytes && performance.now() - bornMs > connectionAgeMs) socket.end();
    seenBytes = bytes;
  }, pauseMs);
  socket.once('close', () => clearInterval(timer));
}

async function watch(target: Target, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    target.failures = (await isWell(target.port)) ? 0 : target.failures + 1;
    if (target.failures === failuresAllowed) dropAll(target);
    await sleep(checkIntervalMs, undefined, { signal }).catch(() => undefined);
  }
}

function dropAll(target: Target): void {
  for (const socket of target.sockets) socket.resetAndDestroy();
}

async function isWell(port: number): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(checkTimeoutMs);
    const response = await fetch(`http://127.0.0.1:${port}/healthz`, { signal });
    await response.arrayBuffer();
    return response.ok;
  } catch {
    return false;
  }
}
