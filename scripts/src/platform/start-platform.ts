import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { guardFolder } from '@xvault/shared/folder-guard.ts';
import { findProgram } from '@xvault/shared/testing/find-program.ts';
import { freePort } from '@xvault/shared/testing/free-port.ts';
import { redisConfig } from '@xvault/shared/testing/redis.ts';
import { redisAnswers } from '@xvault/shared/testing/redis-command.ts';
import { ApiClient } from '../api/client.ts';
import { describeEnd, type PlatformChild, startChild } from './child.ts';
import {
  baseEnvironment,
  checkListed,
  hubEnvironment,
  operatorEmail,
  type Places,
  workerEnvironment,
} from './environment.ts';
import { nodeCommand } from './node-command.ts';
import { openSecrets, type PlatformSecrets } from './secrets.ts';
import { answersOk, untilReady } from './until.ts';
import { workerIsReady } from './worker-ready.ts';

export interface PlatformOptions {
  /** Everything that is kept lies here. */
  readonly dataDir: string;
  readonly logLevel?: string;
  /** PostgreSQL's URL; without it PGlite in the data folder. */
  readonly databaseUrl?: string;
  /** Without it a private Redis on the data folder. */
  readonly redisUrl?: string;
  /** Without it a free port. */
  readonly hubPort?: number;
  readonly localRoots?: readonly string[];
  readonly restoreRoots?: readonly string[];
  readonly allowNetworks?: readonly string[];
  readonly slots?: number;
  readonly extraHub?: Readonly<Record<string, string>>;
  readonly extraWorker?: Readonly<Record<string, string>>;
}

export interface Platform {
  readonly hubUrl: string;
  readonly dataDir: string;
  readonly operator: { readonly email: string; readonly password: string };
  readonly secrets: PlatformSecrets;
  readonly hub: PlatformChild;
  /** The worker of this moment; undefined between killWorker and startWorker. */
  readonly worker: PlatformChild | undefined;
  /** Rejects when a part ends that nobody asked to end; all others are being stopped then. Never resolves. */
  readonly failed: Promise<never>;
  killWorker(signal: NodeJS.Signals): Promise<void>;
  startWorker(): Promise<void>;
  /** Worker, Hub, Redis, in this order. Safe to call again. */
  stop(): Promise<void>;
}

const startLimitMs = 60_000;
const stopGraceMs = { worker: 40_000, hub: 20_000, redis: 10_000 };

/** Starts Redis, the Hub and one worker as processes of their own, and waits until a run could be carried out. */
export async function startPlatform(options: PlatformOptions): Promise<Platform> {
  checkListed([...(options.localRoots ?? []), ...(options.restoreRoots ?? [])]);
  const dataDir = options.dataDir;
  for (const folder of ['', 'logs', 'redis', 'worker', 'backups', 'exports']) {
    await mkdir(join(dataDir, folder), { recursive: true, mode: 0o700 });
  }
  const release = await guardFolder(dataDir);
  const secrets = await openSecrets(dataDir);
  const failure = Promise.withResolvers<never>();
  // Whoever waits for it hears of it; nobody has to wait.
  failure.promise.catch(() => undefined);

  let stopping: Promise<void> | undefined;
  let redis: PlatformChild | undefined;
  let hub: PlatformChild | undefined;
  let worker: PlatformChild | undefined;
  const stopAll = async () => {
    await worker?.end('SIGTERM', stopGraceMs.worker);
    await hub?.end('SIGTERM', stopGraceMs.hub);
    await redis?.end('SIGTERM', stopGraceMs.redis);
    await release();
  };
  const stop = () => {
    stopping ??= stopAll();
    return stopping;
  };
  const watch = (child: PlatformChild) => {
    void child.ended.then(async (end) => {
      if (child.expected || stopping !== undefined) return;
      failure.reject(new Error(`${describeEnd(child.name, end)} unexpectedly:\n${await child.tail()}`));
      await stop();
    });
    return child;
  };
  const node = (name: string, script: string, env: Record<string, string>) =>
    startChild(nodeCommand(name, script, env, join(dataDir, 'logs')));

  try {
    const redisUrlFile = join(dataDir, 'secrets', 'redis-url');
    if (options.redisUrl === undefined) {
      const [port, password] = [await freePort(), await secrets.read('redis-password')];
      redis = watch(await startRedisChild(dataDir, port, password));
      await writeFile(redisUrlFile, `redis://:${password}@127.0.0.1:${port}`, { mode: 0o600 });
    } else {
      await writeFile(redisUrlFile, options.redisUrl, { mode: 0o600 });
    }
    const places: Places = {
      dataDir,
      databaseUrl: options.databaseUrl ?? `pglite://${join(dataDir, 'database')}`,
      redisUrlFile,
      hubPort: options.hubPort ?? (await freePort()),
      workerPort: await freePort(),
      logLevel: options.logLevel ?? 'info',
      localRoots: options.localRoots ?? [],
      restoreRoots: options.restoreRoots ?? [],
      allowNetworks: options.allowNetworks ?? [],
      slots: options.slots ?? 2,
      extraHub: options.extraHub ?? {},
      extraWorker: options.extraWorker ?? {},
    };
    const hubUrl = `http://127.0.0.1:${places.hubPort}`;
    const started = watch(await node('Hub', 'hub/src/main.ts', await hubEnvironment(places, secrets)));
    hub = started;
    await untilReady(started, () => answersOk(`${hubUrl}/readyz`), startLimitMs);
    const operator = { email: operatorEmail, password: await secrets.read('operator-password') };
    const api = await ApiClient.signIn(hubUrl, operator.email, operator.password);
    const startWorker = async () => {
      const sinceMs = Date.now();
      const child = watch(await node('worker', 'worker/src/main.ts', workerEnvironment(places, secrets)));
      worker = child;
      await untilReady(child, () => workerIsReady(api, sinceMs), startLimitMs);
    };
    await startWorker();
    return {
      hubUrl,
      dataDir,
      operator,
      secrets,
      hub: started,
      get worker() {
        return worker;
      },
      failed: failure.promise,
      async killWorker(signal) {
        await worker?.end(signal, stopGraceMs.worker);
        worker = undefined;
      },
      startWorker,
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startRedisChild(dataDir: string, port: number, password: string): Promise<PlatformChild> {
  const program = findProgram(['redis-server', 'valkey-server']);
  if (program === undefined) throw new Error('redis-server (or valkey-server) is not installed');
  const child = await startChild({
    name: 'Redis',
    program,
    args: ['-'],
    stdin: redisConfig(port, password, join(dataDir, 'redis'), true),
    env: baseEnvironment(process.env),
    logFile: join(dataDir, 'logs', 'redis.log'),
  });
  await untilReady(child, () => redisAnswers(port, password), startLimitMs);
  return child;
}
