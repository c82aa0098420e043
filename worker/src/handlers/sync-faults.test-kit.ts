import { type ErrorCode, errorCatalogue } from '@xvault/shared/errors.ts';
import { expect } from 'vitest';
import type { SyncJob, SyncPlatform, Told } from './sync-context.test-kit.ts';

/** What is wrong, by which code it is told, by which event, and whether it is tried again. */
export type FaultCase<T> = readonly [
  what: string,
  make: () => T | Promise<T>,
  code: ErrorCode,
  event: string,
  retryable: boolean,
];

/** What a customer must never read: hosts, ports, paths of the system, names and words of tools, and these secrets. */
export function expectDiscreet({ root }: SyncPlatform, { events }: Told, secrets: readonly string[]): void {
  const shown = JSON.stringify(events);
  for (const word of [root, '/dev/shm', '127.0.0.1', 'rclone', ...secrets]) expect(shown).not.toContain(word);
}

export async function expectFault(
  platform: SyncPlatform,
  job: SyncJob,
  [code, event, retryable]: readonly [code: ErrorCode, event: string, retryable: boolean],
  secrets: readonly string[],
): Promise<void> {
  const { error, told } = await platform.failedBackup(job);
  const reason = errorCatalogue[code].sentence;
  expect(error, JSON.stringify(told.notes)).toMatchObject({ code, message: reason, retryable });
  const last = { type: 'error', level: 'error', code: event, message_id: 'sync_error', params: { code, reason } };
  expect(told.events.at(-1)).toMatchObject(last);
  expectDiscreet(platform, told, secrets);
}
