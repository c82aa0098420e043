import type { Logger } from '@xvault/shared/logging.ts';
import { buildApp } from './app.ts';
import { ensureFirstOperator } from './auth/first-operator.ts';
import { startBackground } from './background.ts';
import type { HubConfig } from './config.ts';
import { openDatabase } from './db/database.ts';
import { migrate } from './db/migrate.ts';
import { openHubEvents } from './notify.ts';
import { createLanes } from './queues/lanes.ts';
import { connectRedis } from './redis.ts';

export interface Hub {
  /** `http://address:port` it listens on. */
  readonly address: string;
  /** Lets requests and rounds under way end, then closes what was opened, last first. */
  close(): Promise<void>;
}

/** A whole Hub, listening. When a step fails, what was opened before it is closed. */
export async function startHub(config: HubConfig, logger: Logger): Promise<Hub> {
  const opened: (() => unknown)[] = [];
  const close = async () => {
    for (let end = opened.pop(); end !== undefined; end = opened.pop()) await end();
  };
  try {
    const open = await openDatabase(config.databaseUrl, { logger, poolSize: config.databasePoolSize });
    opened.push(() => open.close());
    await migrate(open, logger);
    await makeFirstOperator(config, open.db, logger);
    const redis = connectRedis(config.redisUrl, logger);
    opened.push(() => redis.disconnect());
    const lanes = createLanes(redis, logger);
    opened.push(() => lanes.close());
    const hubEvents = await openHubEvents(open, logger);
    opened.push(() => hubEvents.close());
    const deps = { config, open, redis, lanes, hubEvents, logger };
    const app = await buildApp(deps);
    const background = startBackground(deps);
    opened.push(() => background.stop());
    opened.push(() => app.close());
    const address = await app.listen({ host: config.hubHost, port: config.hubPort });
    return { address, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function makeFirstOperator(config: HubConfig, db: Parameters<typeof ensureFirstOperator>[0], logger: Logger) {
  const { operatorEmail, operatorPassword } = config;
  if (operatorEmail === undefined || operatorPassword === undefined) return;
  if (await ensureFirstOperator(db, operatorEmail, operatorPassword)) logger.info('the first operator was made');
}
