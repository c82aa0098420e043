import { expect, test } from 'vitest';
import { type ServerSentEvent, serverSentEvents } from './sse.ts';

const stream = ': hello\n\nevent: progress\nid: 7\ndata: {"a":"é"}\n\ndata: one\ndata:two\n\nevent: empty\n\ndata: cut';

async function* inChunks(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function collect(size: number): Promise<ServerSentEvent[]> {
  const events: ServerSentEvent[] = [];
  for await (const event of serverSentEvents(inChunks(stream, size))) events.push(event);
  return events;
}

test.each([1, 2, 3, 7, 1000])('reads events from chunks of %d bytes', async (size) => {
  expect(await collect(size)).toEqual([
    { event: 'progress', data: '{"a":"é"}', id: '7' },
    { event: 'message', data: 'one\ntwo', id: undefined },
  ]);
});
