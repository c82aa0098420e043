import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { type PostgresServer, startPostgres } from '@xvault/shared/testing/postgres.ts';
import { type RedisServer, startRedis } from '@xvault/shared/testing/redis.ts';
import { startSshd, type TestSshd } from '@xvault/shared/testing/sshd.ts';
import { startTcpProxy, type TcpProxy } from '@xvault/shared/testing/tcp-proxy.ts';
import { hubEnvironment, operatorEmail, type Places } from '../platform/environment.ts';
import { nodeCommand } from '../platform/node-command.ts';
import { openSecrets } from '../platform/secrets.ts';
import { hubSettings } from './cluster-settings.ts';
import { startLoadBalancer } from './load-balancer.ts';
import { type Part, startPart } from './part.ts';
import type { Random } from './random.ts';
import { startWorkerNode, type WorkerNode } from './worker-node.ts';

export interface ClusterOptions {
  /** An empty folder that all of it is kept in. */
  readonly root: string;
  readonly random: Random;
  readonly hubs?: number;
  readonly workers?: number;
  readonly slots?: number;
  /** Folders that local sources may be in, and restores may go to. */
  readonly localRoots: readonly string[];
  readonly restoreRoots: readonly string[];
  /** Size of the first worker's storage, where mounting is allowed. */
  readonly volumeBytes?: number;
}

/** A distributed installation of real processes: PostgreSQL, Redis, Hubs behind a balancer, workers, an SSH server. */
export interface Cluster {
  readonly root: string;
  /** Where clients reach whichever Hub is well. */
  readonly apiUrl: string;
  readonly databaseUrl: string;
  readonly operator: { readonly email: string; readonly password: string };
  readonly postgres: PostgresServer;
  readonly redis: RedisServer;
  readonly sshd: TestSshd;
  /** The way to the SSH server, a slow one: so a transfer takes time although it costs little. */
  readonly sshLink: TcpProxy;
  readonly hubs: readonly Part[];
  readonly workers: readonly WorkerNode[];
  /** Waits until every Hub and worker is ready. */
  ready(timeoutMs: number): Promise<void>;
  stop(): Promise<void>;
}

const sshLatencyMs = 60;

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { root, random } = options;
  const logs = join(root, 'logs');
  await mkdir(logs, { mode: 0o700 });
  const secrets = await openSecrets(root);
  const restartDelayMs = () => random.int(200, 2500);
  const opened: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (let close = opened.pop(); close !== undefined; close = opened.pop()) await close();
  };
  const keep = <T>(part: T, close: () => Promise<unknown>): T => {
    opened.push(close);
    return part;
  };
  try {
    const sshd = await startSshd();
    keep(sshd, () => sshd.stop());
    const sshLink = await startTcpProxy(sshd.port);
    sshLink.setLatencyMs(sshLatencyMs);
    keep(sshLink, () => sshLink.close());
    const postgres = await startPostgres({ keepsCommits: true });
    keep(postgres, () => postgres.stop());
    const redis = await startRedis({ appendonly: true });
    keep(redis, () => redis.stop());
    const databaseUrl = await postgres.createDatabase();
    const redisUrlFile = join(root, 'secrets', 'redis-url');
    await writeFile(redisUrlFile, redis.url, { mode: 0o600 });
    const places: Omit<Places, 'dataDir' | 'hubPort' | 'workerPort'> = {
      databaseUrl,
      redisUrlFile,
      logLevel: 'info',
      localRoots: options.localRoots,
      restoreRoots: options.restoreRoots,
      allowNetworks: ['127.0.0.0/8'],
      slots: options.slots ?? 2,
      extraHub: hubSettings,
      extraWorker: {},
    };
    const hubs: Part[] = [];
    const hubPorts: number[] = [];
    for (let number = 1; number <= (options.hubs ?? 2); number += 1) {
      const hubPort = await freePort();
      const env = await hubEnvironment({ ...places, dataDir: root, hubPort, workerPort: 0 }, secrets);
      const command = { ...nodeCommand(`hub-${number}`, 'hub/src/main.ts', env, logs), cwd: root };
      const hub = startPart({ command, readyText: '"the Hub is ready"', restartDelayMs });
      hubs.push(keep(hub, () => hub.stop(20_000)));
      hubPorts.push(hubPort);
    }
    const balancer = await startLoadBalancer(hubPorts);
    keep(balancer, () => balancer.close());
    const workers: WorkerNode[] = [];
    for (let number = 1; number <= (options.workers ?? 3); number += 1) {
      const id = `worker-${number}`;
      const worker = await startWorkerNode({
        id,
        dataDir: join(root, id),
        logs,
        balancerPort: balancer.port,
        places,
        secrets,
        restartDelayMs,
        ...(number === 1 && options.volumeBytes !== undefined ? { volumeBytes: options.volumeBytes } : {}),
      });
      workers.push(keep(worker, () => worker.stop()));
    }
    return {
      root,
      apiUrl: `http://127.0.0.1:${balancer.port}`,
      databaseUrl,
      operator: { email: operatorEmail, password: await secrets.read('operator-password') },
      postgres,
      redis,
      sshd,
      sshLink,
      hubs,
      workers,
      async ready(timeoutMs) {
        await Promise.all([...hubs, ...workers.map((worker) => worker.part)].map((part) => part.ready(timeoutMs)));
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
