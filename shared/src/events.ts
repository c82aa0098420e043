import { z } from 'zod';

export const eventTypes = ['start', 'progress', 'summary', 'warning', 'error', 'cancelled'] as const;
export const eventLevels = ['info', 'warn', 'error'] as const;

/**
 * What customers read about a run: `message_id` → sentence, `{name}` filled from `params`. Sentences name items of the
 * customer's own data only: no endpoint, credential, system path or flag.
 */
export const eventMessages = {
  run_queued: 'Waiting for a free worker.',
  run_started: 'Started (attempt {attempt}).',
  run_progress: 'Transferred {bytes} of {bytes_total} bytes ({pct} %).',
  run_succeeded: 'Completed successfully.',
  run_warned: 'Completed; {warnings} item(s) need attention.',
  run_failed: 'Failed: {sentence}',
  run_cancelled: 'Cancelled.',
  run_cancel_requested: 'Cancellation requested.',
  run_retried: 'Attempt {attempt} ended: {sentence} Trying again.',
  run_start_overdue: 'Has not started within {minutes} minutes of its scheduled time.',
  backup_published: 'Snapshot stored: {files} files, {bytes} bytes, {stored_bytes} bytes after compression.',
  item_vanished: 'Not backed up, it disappeared during the backup: {item}',
  item_unreadable: 'Not backed up, it could not be read: {item}',
  item_changed: 'Backed up while it was changing: {item}',
  item_attributes_left_out: 'Backed up without some of its extended attributes: {item}',
  item_unsupported: 'Not backed up, it is a socket, pipe or device: {item}',
  item_name_unsupported: 'Not backed up, its name cannot be stored: {item}',
  item_link_not_followed: 'Kept as a symbolic link, it leads nowhere, in a circle, or to where it may not: {item}',
  item_not_restored: 'Not restored: {item}',
  item_restored_renamed: 'Restored under another name, {name}: {item}',
  hook_failed: 'A {phase} hook failed and the run went on.',
  hook_done: 'A {phase} hook was carried out.',
  database_dumped: 'Database dumped: {database}, {bytes} bytes.',
  database_restored: 'Database restored: {database}.',
  sync_no_changes: 'Nothing has changed since the last run.',
  sync_done: 'Transferred {transfers} objects, {bytes} bytes; removed {deletes}. The version holds {objects} objects.',
  sync_item_failed: 'Not transferred: {item}',
  sync_error: 'The transfer met an error: {reason}',
  bandwidth_changed: 'The bandwidth limit changed.',
  files_left_out: 'Left out as larger than the limit: {files} files, {bytes} bytes.',
  events_capped: 'Further events of this run are not listed.',
  restore_done: 'Restored {files} files, {bytes} bytes.',
  restore_tried: 'Dry run: {files} files, {bytes} bytes would be restored. Nothing was changed.',
  validation_passed: 'Verified {files} files, {bytes} bytes: all match.',
  validation_passed_quick: 'Verified sizes, manifest and ends of the stored files; contents were not read.',
  validation_passed_listed: 'Verified that {files} files, {bytes} bytes are there; contents were not read.',
  validation_passed_stored: 'Verified {bytes} stored bytes: all match. Without the key they were not opened.',
  validation_failed: 'Verification failed: {sentence}',
  snapshot_rewrapped: 'Given to {recipients} recipient(s), its contents as they were.',
} as const;
export type MessageId = keyof typeof eventMessages;

export const eventParams = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.null()]));
export type EventParams = z.infer<typeof eventParams>;

/** An event on its way from a worker; `seq` grows by one within an attempt, so a batch sent twice is stored once. */
export const workerEvent = z.strictObject({
  seq: z.int32().min(1),
  /** RFC 3339 in UTC with microseconds; a time that there is, and no year 0, which databases do not know. */
  ts: z.iso.datetime({ precision: 6 }).regex(/^(?!0000)/),
  type: z.enum(eventTypes),
  level: z.enum(eventLevels),
  code: z.string().min(1).max(64),
  message_id: z.enum(Object.keys(eventMessages) as [MessageId, ...MessageId[]]),
  params: eventParams,
});
export type WorkerEvent = z.infer<typeof workerEvent>;
export type EventDraft = Omit<WorkerEvent, 'seq' | 'ts'>;

/** The sentence of an event. */
export function formatEvent(messageId: MessageId, params: EventParams): string {
  return eventMessages[messageId].replace(/\{(\w+)\}/g, (_, name: string) => String(params[name] ?? ''));
}

/** Now, RFC 3339 in UTC with six digits of fraction. */
export function nowMicros(): string {
  const us = Math.round((performance.timeOrigin + performance.now()) * 1000);
  const date = new Date(Math.floor(us / 1000)).toISOString();
  return `${date.slice(0, -1)}${String(us % 1000).padStart(3, '0')}Z`;
}
