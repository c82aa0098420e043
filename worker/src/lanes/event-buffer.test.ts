import type { EventDraft } from '@xvault/shared/events.ts';
import { workerEvent } from '@xvault/shared/events.ts';
import { expect, test } from 'vitest';
import { EventBuffer } from './event-buffer.ts';

const draft: EventDraft = {
  type: 'warning',
  level: 'warn',
  code: 'ITEM_CHANGED',
  message_id: 'item_changed',
  params: { item: 'a' },
};

test('events are numbered without gaps, fit the contract, and stay until they are stored', () => {
  const buffer = new EventBuffer(10);
  for (let i = 0; i < 4; i += 1) buffer.add(draft);
  const sent = buffer.batch(3);
  expect(sent.map((event) => event.seq)).toEqual([1, 2, 3]);
  for (const event of sent) expect(workerEvent.parse(event)).toEqual(event);
  expect(buffer.batch(3)).toEqual(sent);
  buffer.storedTo(2);
  expect(buffer.batch(10).map((event) => event.seq)).toEqual([3, 4]);
});

test('past the cap one event says so, and no more come', () => {
  const buffer = new EventBuffer(2);
  for (let i = 0; i < 5; i += 1) buffer.add(draft);
  expect(buffer.batch(10).map((event) => event.code)).toEqual(['ITEM_CHANGED', 'ITEM_CHANGED', 'EVENTS_CAPPED']);
});
