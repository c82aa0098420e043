import { inject } from 'vitest';
import { createDatabase } from './postgres.ts';
import { radosgwOfRun, type SharedRadosgw } from './radosgw.ts';
import { ownRedisDatabase } from './redis.ts';
import './vitest-servers.ts';

/** URL of an empty PostgreSQL database that belongs to the caller alone. */
export function ownDatabase(): Promise<string> {
  return createDatabase(inject('postgresUrl'));
}

/** URL of an empty database of the run's Redis that belongs to the caller alone. */
export function ownRedis(): Promise<string> {
  return ownRedisDatabase(inject('redisUrl'));
}

/** The run's S3 server; the first test that asks waits about ten seconds for it. Make a bucket of your own in it. */
export function sharedS3(): Promise<SharedRadosgw> {
  return radosgwOfRun(inject('lazyServersUrl'));
}
