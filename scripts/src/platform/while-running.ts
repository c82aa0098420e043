import { setTimeout as sleep } from 'node:timers/promises';
import { isBroken } from '../api/connection.ts';
import type { Platform } from './start-platform.ts';

/** A connection breaks a moment before the end of the process behind it is known. */
const noticeMs = 2_000;

/** The work's outcome; where a part of the platform has ended, that, and not the broken connection that it left. */
export async function whileRunning<T>({ failed }: Pick<Platform, 'failed'>, work: Promise<T>): Promise<T> {
  try {
    return await Promise.race([failed, work]);
  } catch (error) {
    if (isBroken(error)) await Promise.race([failed, sleep(noticeMs)]);
    throw error;
  }
}
