/** For tests: all that a secret could have been written to. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { descendants } from '@xvault/shared/testing/process-tree.ts';
import { Redis } from 'ioredis';
import { Client } from 'pg';
import { z } from 'zod';
import type { ApiClient } from '../api/client.ts';

export async function dumpDatabase(databaseUrl: string): Promise<string> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const tables = await client.query<{ name: string }>(
      `select quote_ident(table_name) as name from information_schema.tables where table_schema = 'public'`,
    );
    const parts: string[] = [];
    for (const { name } of tables.rows) {
      const { rows } = await client.query<{ row: unknown }>(`select to_jsonb(it) as row from ${name} as it`);
      parts.push(name, ...rows.map(({ row }) => JSON.stringify(row)));
    }
    return parts.join('\n');
  } finally {
    await client.end();
  }
}

export async function dumpRedis(dataDir: string): Promise<string> {
  const redis = new Redis(await readFile(join(dataDir, 'secrets', 'redis-url'), 'utf8'));
  try {
    const keys = await redis.keys('*');
    const values = await Promise.all(keys.map((key) => redis.dumpBuffer(key)));
    return [...keys, ...values.map((value) => value?.toString('latin1') ?? '')].join('\n');
  } finally {
    redis.disconnect();
  }
}

/** All that the customer can read of what was made. */
export async function dumpAnswers(api: ApiClient): Promise<string> {
  const page = z.object({ items: z.array(z.looseObject({ id: z.string() })) });
  const answers: string[] = [];
  for (const kind of ['sources', 'destinations', 'jobs', 'runs', 'snapshots']) {
    const { items } = await api.get(`/api/v1/${kind}?limit=100`, page);
    for (const { id } of items) answers.push(JSON.stringify(await api.get(`/api/v1/${kind}/${id}`, z.unknown())));
    if (kind !== 'runs') continue;
    for (const { id } of items)
      answers.push(JSON.stringify(await api.get(`/api/v1/runs/${id}/events?limit=1000`, z.unknown())));
  }
  return answers.join('\n');
}

/** What the platform has on disks, without the Hub's own keys. */
export async function dumpDisk(dataDir: string): Promise<string> {
  const parts: string[] = [];
  for (const folder of ['worker', 'backups', 'exports', 'redis']) {
    const found = await readdir(join(dataDir, folder), { recursive: true, withFileTypes: true });
    for (const item of found.filter((each) => each.isFile())) {
      const path = join(item.parentPath, item.name);
      parts.push(path, await readFile(path, 'latin1'));
    }
  }
  return parts.join('\n');
}

export async function dumpLogs(dataDir: string): Promise<string> {
  const folder = join(dataDir, 'logs');
  const names = await readdir(folder);
  return (await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))).join('\n');
}

export interface ChildWatch {
  /** Arguments and environments. */
  seen(): string;
  /** What lay in the folders in memory that they worked in. */
  files(): string;
  stop(): void;
}

/** Looks at all that a worker starts, again and again. */
export function watchChildren(workerPid: number): ChildWatch {
  const found = new Set<string>();
  const files = new Set<string>();
  const look = () => {
    for (const pid of descendants(workerPid)) {
      for (const file of ['cmdline', 'environ']) found.add(readProcess(pid, file));
      for (const text of filesOfRun(pid)) files.add(text);
    }
  };
  const timer = setInterval(look, 50);
  return { seen: () => [...found].join('\n'), files: () => [...files].join('\n'), stop: () => clearInterval(timer) };
}

/** What lies in the folder in memory that a run's rclone works in. */
function filesOfRun(pid: number): string[] {
  try {
    const folder = readlinkSync(`/proc/${pid}/cwd`);
    if (!folder.includes('/xvault-sync-')) return [];
    const names = readdirSync(folder, { withFileTypes: true }).filter((item) => item.isFile());
    return names.map(({ name }) => `${join(folder, name)}\n${readFileSync(join(folder, name), 'latin1')}`);
  } catch {
    // It has ended.
    return [];
  }
}

function readProcess(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    // It has ended.
    return '';
  }
}
