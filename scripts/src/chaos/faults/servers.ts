import { setTimeout as sleep } from 'node:timers/promises';
import { signalProcess } from '@xvault/shared/testing/process-tree.ts';
import { redisCommand } from '@xvault/shared/testing/redis-command.ts';
import pg from 'pg';
import { leaseMs } from '../../cluster/cluster-settings.ts';
import type { FaultKind } from '../fault.ts';

/** Redis comes back with what it had written down: up to a second may be missing. */
const redisKilled: FaultKind = ({ cluster, random, signal }) => {
  const downMs = random.int(100, 3000);
  return {
    target: 'redis',
    description: `SIGKILL of Redis, back after ${downMs} ms`,
    async strike() {
      await cluster.redis.kill();
      await sleep(downMs, undefined, { signal }).catch(() => undefined);
      await cluster.redis.restart();
    },
  };
};

const redisFlushed: FaultKind = ({ cluster }) => ({
  target: 'redis',
  description: 'FLUSHALL of Redis',
  async strike() {
    await redisCommand(cluster.redis.port, cluster.redis.password, ['FLUSHALL']);
  },
});

/** Connections stay open and nothing is answered: in the tens of seconds when a lease is in the minutes. */
const redisPaused: FaultKind = ({ cluster, random, signal }) => {
  const forMs = Math.round(leaseMs * (0.3 + random.next()));
  return {
    target: 'redis',
    description: `Redis paused for ${forMs} ms`,
    async strike() {
      const { pid } = cluster.redis;
      signalProcess(pid, 'SIGSTOP');
      await sleep(forMs, undefined, { signal }).catch(() => undefined);
      signalProcess(pid, 'SIGCONT');
    },
  };
};

const postgresRestarted: FaultKind = ({ cluster }) => ({
  target: 'postgres',
  description: 'PostgreSQL restarted at once',
  strike: () => cluster.postgres.restart(),
});

const postgresConnectionsKilled: FaultKind = ({ cluster }) => ({
  target: 'postgres',
  description: 'all connections to PostgreSQL killed',
  async strike() {
    const client = new pg.Client({ connectionString: cluster.postgres.url });
    await client.connect();
    try {
      await client.query(
        `select pg_terminate_backend(pid) from pg_stat_activity where datname like 'xvault_%' and pid <> pg_backend_pid()`,
      );
    } finally {
      await client.end();
    }
  },
});

export const serverFaults: Readonly<Record<string, FaultKind>> = {
  'redis-killed': redisKilled,
  'redis-flushed': redisFlushed,
  'redis-paused': redisPaused,
  'postgres-restarted': postgresRestarted,
  'postgres-connections-killed': postgresConnectionsKilled,
};
