import type { Logger } from '@xvault/shared/logging.ts';
import { Redis } from 'ioredis';

/** A connection that comes back by itself. While Redis is away commands fail at once instead of waiting, and nothing crashes. */
export function connectRedis(url: string, logger: Logger): Redis {
  const redis = new Redis(url, {
    enableOfflineQueue: false,
    maxRetriesPerRequest: 1,
    connectTimeout: 5000,
    retryStrategy: (times) => Math.min(times * 100, 2000),
  });
  let isAway = false;
  redis.on('ready', () => {
    isAway = false;
    logger.info('Redis is connected');
  });
  redis.on('error', (error) => {
    // One line for each absence, not for each attempt.
    if (!isAway) logger.warn({ err: error }, 'Redis is away; runs wait in the database');
    isAway = true;
  });
  return redis;
}
