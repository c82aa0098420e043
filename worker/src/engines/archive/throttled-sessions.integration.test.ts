import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { mixedBytes } from '../../artifact/codec.test-kit.ts';
import type { SourceSession } from '../../connectors/connector.ts';
import { workbench } from './backup.test-kit.ts';
import { Throttle } from './bandwidth.ts';
import { sessionWith } from './session-with.ts';
import { throttledSession } from './throttled-sessions.ts';

const MiB = 1024 * 1024;

/** Counts what the throttled session hands out; files come in ready frames, or the test means nothing. */
function counted(session: SourceSession, onBytes: (bytes: number) => void): SourceSession {
  const { pack } = session;
  if (pack === undefined) throw new Error('the local source makes frames');
  return sessionWith(session, {
    async pack(...asked) {
      const frame = await pack(...asked);
      onBytes(frame.contentBytes);
      return frame;
    },
    async open(entry, signal) {
      const stream = await session.open(entry, signal);
      if (!('chunks' in stream)) return stream;
      const { pieces } = stream;
      if (pieces === undefined) throw new Error('a large file comes in pieces');
      return {
        ...stream,
        pieces: {
          ...pieces,
          async pack(...asked) {
            const piece = await pieces.pack(...asked);
            onBytes(piece.contentBytes);
            return piece;
          },
        },
      };
    },
  });
}

test.each([
  ['small files', (source: string) => smallFiles(source, 30)],
  ['a large file', (source: string) => writeFile(join(source, 'large'), mixedBytes(3 * MiB))],
])('frames that the source makes itself are held to the limit: %s', async (_name, fill) => {
  const bench = await workbench();
  await using _folder = bench.folder;
  await fill(bench.source);
  let bytes = 0;
  const throttle = new Throttle(() => MiB);
  const wrap = (session: SourceSession) =>
    counted(throttledSession(session, throttle), (more) => {
      bytes += more;
    });
  const startedAt = performance.now();
  await bench.backup({ wrap });
  const seconds = (performance.now() - startedAt) / 1000;
  expect(bytes).toBeGreaterThanOrEqual(3 * MiB);
  // A second's worth may have been saved up before.
  expect(seconds).toBeGreaterThan(bytes / MiB - 1.1);
});

test('a limit that goes ends the waiting, and holes cost nothing', async () => {
  const bench = await workbench();
  await using _folder = bench.folder;
  await smallFiles(bench.source, 10);
  await writeFile(join(bench.source, 'holes'), 'x');
  await truncate(join(bench.source, 'holes'), 1e12);
  let limit: number | null = 1;
  const throttle = new Throttle(() => limit);
  let isDone = false;
  const backup = bench.backup({ wrap: (session) => throttledSession(session, throttle) }).then(() => {
    isDone = true;
  });
  await sleep(500);
  expect(isDone).toBe(false);
  limit = 64 * MiB;
  throttle.changed();
  await backup;
  expect((await bench.entries()).find(({ path }) => path.toString() === 'holes')?.sizeBytes).toBe(1e12);
});

async function smallFiles(source: string, count: number): Promise<void> {
  for (let at = 0; at < count; at += 1) await writeFile(join(source, `f${at}`), mixedBytes(MiB / 10 + 100));
}
