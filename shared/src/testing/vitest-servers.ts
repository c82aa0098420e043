import type { TestProject } from 'vitest/node';
import { offerLazyServers } from './lazy-servers.ts';
import { startPostgres } from './postgres.ts';
import { startRadosgw } from './radosgw.ts';
import { startRedis } from './redis.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The run's PostgreSQL: make a database of your own by `createDatabase(inject('postgresUrl'))`. */
    postgresUrl: string;
    /** The run's Redis: take a database of your own by `ownRedisDatabase(inject('redisUrl'))`. */
    redisUrl: string;
    /** Servers that start when the first test asks: see `radosgwOfRun(inject('lazyServersUrl'))`. */
    lazyServersUrl: string;
  }
}

const lazyStarters = {
  async radosgw() {
    const { endpoint, region, accessKey, secretKey, configFile, close } = await startRadosgw();
    return { access: { endpoint, region, accessKey, secretKey, configFile }, close };
  },
};

/** Vitest's global set-up: one PostgreSQL and one Redis for the whole run, others when they are asked for. */
export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, redis, lazy] = await Promise.all([startPostgres(), startRedis(), offerLazyServers(lazyStarters)]);
  project.provide('postgresUrl', postgres.url);
  project.provide('redisUrl', redis.url);
  project.provide('lazyServersUrl', lazy.url);
  return async () => {
    await Promise.all([postgres.stop(), redis.stop(), lazy.close()]);
  };
}
