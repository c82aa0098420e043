import type { TestProject } from 'vitest/node';
import { startPostgres } from './postgres.ts';
import { startRedis } from './redis.ts';

declare module 'vitest' {
  export interface ProvidedContext {
    /** The run's PostgreSQL: make a database of your own by `createDatabase(inject('postgresUrl'))`. */
    postgresUrl: string;
    /** The run's Redis: take a database of your own by `ownRedisDatabase(inject('redisUrl'))`. */
    redisUrl: string;
  }
}

/** Vitest's global set-up: one PostgreSQL and one Redis for the whole run. */
export default async function startServers(project: TestProject): Promise<() => Promise<void>> {
  const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
  project.provide('postgresUrl', postgres.url);
  project.provide('redisUrl', redis.url);
  return async () => {
    await Promise.all([postgres.stop(), redis.stop()]);
  };
}
