import type { Logger } from '@xvault/shared/logging.ts';
import type { Redis } from 'ioredis';
import type { HubConfig } from './config.ts';
import type { OpenDatabase } from './db/database.ts';
import type { HubEvents } from './notify.ts';
import type { Lanes } from './queues/lanes.ts';

/** What the application needs from its process; closing it is the process's matter. */
export interface AppDeps {
  readonly config: HubConfig;
  readonly open: OpenDatabase;
  /** Made with `enableOfflineQueue: false`: a command fails at once while Redis is away. */
  readonly redis: Redis;
  readonly lanes: Lanes;
  readonly hubEvents: HubEvents;
  readonly logger: Logger;
}

declare module 'fastify' {
  interface FastifyInstance {
    readonly deps: AppDeps;
  }
}
