import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { redactPaths } from '@xvault/shared/logging.ts';
import { ownDatabase, ownRedis } from '@xvault/shared/testing/test-databases.ts';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { buildApp } from '../app.ts';
import type { HubConfig } from '../config.ts';
import { type OpenDatabase, openDatabase } from '../db/database.ts';
import { migrate } from '../db/migrate.ts';
import type { AppDeps } from '../deps.ts';
import { openHubEvents } from '../notify.ts';
import { createLanes } from '../queues/lanes.ts';
import { connectRedis } from '../redis.ts';
import { type TestConfig, testConfig } from './test-config.ts';

export const databaseKinds: readonly OpenDatabase['kind'][] = ['postgres', 'pglite'];

export interface TestHub extends TestConfig {
  readonly app: FastifyInstance;
  readonly deps: AppDeps;
  readonly db: OpenDatabase['db'];
  /** Everything logged so far, at the finest level. */
  logs(): string;
  close(): Promise<void>;
}

interface Options {
  /** Of an empty PostgreSQL database; without it one of the run's server is made. */
  readonly databaseUrl?: string;
  readonly database?: OpenDatabase['kind'];
  readonly config?: Partial<HubConfig>;
  /** The same database in another guise: all but listening is done by it. */
  readonly db?: OpenDatabase['db'];
}

/** The whole application, without its background loops, on an empty database and a Redis database of its own. */
export async function startTestHub(options: Options = {}): Promise<TestHub> {
  const { database = 'postgres', config: overrides } = options;
  const folder = database === 'pglite' ? await mkdtemp(join(tmpdir(), 'xvault-hub-')) : undefined;
  const databaseUrl =
    folder === undefined ? (options.databaseUrl ?? (await ownDatabase())) : `pglite://${join(folder, 'db')}`;
  const setup = await testConfig({ databaseUrl, redisUrl: await ownRedis() }, overrides);
  const lines: string[] = [];
  const logger = pino({ level: 'trace', redact: redactPaths }, { write: (line: string) => lines.push(line) });
  const opened = await openDatabase(databaseUrl, { logger });
  await migrate(opened, logger);
  const open: OpenDatabase = { ...opened, db: options.db ?? opened.db };
  const redis = connectRedis(setup.config.redisUrl, logger);
  await new Promise((resolve) => redis.once('ready', resolve));
  const lanes = createLanes(redis, logger);
  const hubEvents = await openHubEvents(open, logger);
  const deps: AppDeps = { config: setup.config, open, redis, lanes, hubEvents, logger };
  const app = await buildApp(deps);
  await app.ready();
  return {
    ...setup,
    app,
    deps,
    db: open.db,
    logs: () => lines.join(''),
    async close() {
      await app.close();
      await hubEvents.close();
      await lanes.close();
      redis.disconnect();
      await open.close();
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}
