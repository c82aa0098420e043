import { readFile } from 'node:fs/promises';
import type { Platform } from '../platform/start-platform.ts';

/** Memory of the platform's worker: what it has, or the most that it had. Linux only. */
export async function workerMemoryMiB({ worker }: Platform, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const status = await readFile(`/proc/${worker?.pid}/status`, 'utf8');
  const match = new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status);
  if (match === null) throw new Error('the kernel does not tell the memory of the worker');
  return Number(match[1]) / 1024;
}
