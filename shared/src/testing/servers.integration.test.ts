import { spawn } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startPostgres } from './postgres.ts';
import { ownRedisDatabase, startRedis } from './redis.ts';
import { redisAnswers, redisCommand } from './redis-command.ts';
import { ownDatabase, ownRedis } from './test-databases.ts';

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

test('each caller gets a PostgreSQL database of its own', async () => {
  const [first, second] = await Promise.all([ownDatabase(), ownDatabase()]);
  expect(new URL(first).pathname).toMatch(/^\/xvault_[0-9a-f]{32}$/);
  expect(second).not.toBe(first);
});

test('each caller gets a Redis database of its own', async () => {
  const [first, second] = await Promise.all([ownRedis(), ownRedis()]);
  expect(first).toMatch(/^redis:\/\/:[^@]+@127\.0\.0\.1:\d+\/\d+$/);
  expect(second).not.toBe(first);
});

test('PostgreSQL keeps its databases over a restart and ends on stop', async () => {
  const server = await startPostgres();
  const before = server.pid;
  await server.createDatabase();
  await server.restart();
  expect(server.pid).not.toBe(before);
  expect(alive(before)).toBe(false);
  await server.createDatabase();
  await server.stop();
  expect(alive(server.pid)).toBe(false);
});

test('Redis wants its password, never evicts, comes back empty after a kill without append-only file', async () => {
  const server = await startRedis();
  try {
    expect(await redisAnswers(server.port, 'wrong')).toBe(false);
    expect(await redisCommand(server.port, server.password, ['SET', 'a', '1'])).toBe('+OK');
    expect(await redisCommand(server.port, server.password, ['STRLEN', 'a'])).toBe(':1');
    await server.kill();
    expect(await redisAnswers(server.port, server.password)).toBe(false);
    await server.restart();
    expect(await redisCommand(server.port, server.password, ['STRLEN', 'a'])).toBe(':0');
    expect(await ownRedisDatabase(server.url)).toBe(`${server.url}/1`);
  } finally {
    await server.stop();
  }
});

test('Redis with an append-only file keeps its keys over a restart', async () => {
  const server = await startRedis({ appendonly: true });
  try {
    await redisCommand(server.port, server.password, ['SET', 'a', '1']);
    await server.restart();
    expect(await redisCommand(server.port, server.password, ['STRLEN', 'a'])).toBe(':1');
  } finally {
    await server.stop();
  }
});

test.runIf(process.platform === 'linux')('servers die with a process that is killed', async () => {
  const url = (file: string) => JSON.stringify(new URL(file, import.meta.url).href);
  const source = `import { startRedis } from ${url('./redis.ts')};
    import { startPostgres } from ${url('./postgres.ts')};
    const servers = await Promise.all([startRedis(), startPostgres()]);
    process.stdout.write(JSON.stringify(servers.map((server) => server.pid)) + '\\n');
    setInterval(() => undefined, 1000);`;
  const parent = spawn(process.execPath, ['--input-type=module', '-e', source], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const line = await new Promise<string>((resolve) => parent.stdout.once('data', (data) => resolve(String(data))));
  const pids = JSON.parse(line) as number[];
  expect(pids.map(alive)).toEqual([true, true]);
  parent.kill('SIGKILL');
  for (let waited = 0; pids.some(alive) && waited < 200; waited += 1) await sleep(50);
  expect(pids.map(alive)).toEqual([false, false]);
});
