import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { descendants } from '@xvault/shared/testing/process-tree.ts';
import type { Cluster } from '../../cluster/cluster.ts';
import type { Findings } from './finding.ts';

/**
 * Processes that should be gone: children of Hubs and workers, and whoever works in our folder without being one of the
 * cluster's parts (Linux; none is found elsewhere).
 */
export function leakedProcesses(cluster: Cluster): Findings {
  if (process.platform !== 'linux') return [];
  const parts = [...cluster.hubs, ...cluster.workers.map((worker) => worker.part)].flatMap((part) => part.pid ?? []);
  const children = parts.flatMap(descendants);
  const servers = [cluster.postgres.pid, cluster.redis.pid].flatMap((pid) => [pid, ...descendants(pid)]);
  const expected = new Set([process.pid, ...parts, ...servers]);
  const strangers = allPids().filter((pid) => !expected.has(pid) && worksIn(pid, cluster.root));
  return [...new Set([...children, ...strangers])].map((pid) => `process ${pid}: ${commandLine(pid)}`);
}

function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
}

function worksIn(pid: number, folder: string): boolean {
  return (
    isBelow(linkOf(`/proc/${pid}/cwd`), folder) || textOf(`/proc/${pid}/environ`).includes(folder) || opens(pid, folder)
  );
}

function opens(pid: number, folder: string): boolean {
  const directory = `/proc/${pid}/fd`;
  return namesIn(directory).some((name) => isBelow(linkOf(`${directory}/${name}`), folder));
}

function isBelow(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

function commandLine(pid: number): string {
  return textOf(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
}

/** A process may end at any moment, and another user's may not be looked into: then there is nothing to see. */
function seen<T>(look: () => T, nothing: T): T {
  try {
    return look();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['ENOENT', 'ESRCH', 'EACCES', 'EPERM'].includes(code)) return nothing;
    throw error;
  }
}

const textOf = (file: string) => seen(() => readFileSync(file, 'utf8'), '');
const linkOf = (file: string) => seen(() => readlinkSync(file), '');
const namesIn = (directory: string) => seen(() => readdirSync(directory), []);
