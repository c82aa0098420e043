import { setTimeout as sleep } from 'node:timers/promises';
import { describeEnd, type PlatformChild } from './child.ts';

/** Polls `ready` until it is true. Throws, with the log's tail, when the child ends first or `timeoutMs` passes. */
export async function untilReady(
  child: PlatformChild,
  ready: () => Promise<boolean>,
  timeoutMs: number,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!(await ready())) {
    if (!child.running()) {
      throw new Error(`${describeEnd(child.name, await child.ended)} while starting:\n${await child.tail()}`);
    }
    if (performance.now() > deadline) throw new Error(`${child.name} did not become ready:\n${await child.tail()}`);
    await sleep(50);
  }
}

/** Whether a GET of the URL answers 200; false while nobody listens. */
export async function answersOk(url: string): Promise<boolean> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(5_000) });
    await response.arrayBuffer();
    return response.status === 200;
  } catch {
    return false;
  }
}
