import type { EventDraft, EventParams, MessageId } from '@xvault/shared/events.ts';

type HubMessage = Extract<MessageId, `run_${string}`>;

const shapes = {
  run_queued: { type: 'start', level: 'info' },
  run_started: { type: 'start', level: 'info' },
  run_progress: { type: 'progress', level: 'info' },
  run_succeeded: { type: 'summary', level: 'info' },
  run_warned: { type: 'summary', level: 'warn' },
  run_failed: { type: 'error', level: 'error' },
  run_cancelled: { type: 'cancelled', level: 'info' },
  run_cancel_requested: { type: 'cancelled', level: 'info' },
  run_start_overdue: { type: 'warning', level: 'warn' },
  run_retried: { type: 'warning', level: 'warn' },
} as const satisfies Record<HubMessage, Pick<EventDraft, 'type' | 'level'>>;

/** An event that the Hub itself writes; `code` is the error's where there is one, else the message's name. */
export function hubEvent(messageId: HubMessage, params: EventParams = {}, code?: string): EventDraft {
  return { ...shapes[messageId], code: code ?? messageId.toUpperCase(), message_id: messageId, params };
}
