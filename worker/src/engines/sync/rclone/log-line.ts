import { z } from 'zod';

/** A line of rclone's JSON log; older versions call `notice` a `warning`. */
const jsonLine = z.object({
  level: z.string(),
  msg: z.string(),
  object: z.string().optional(),
  objectType: z.string().optional(),
});

export interface LogLine {
  readonly level: 'info' | 'notice' | 'error' | 'critical';
  readonly message: string;
  /** The item that it is about; with some backends the name of a whole remote. */
  readonly object: string | null;
  /** False for what rclone writes before its log is set up. */
  readonly isJson: boolean;
}

/** Never throws: what is not JSON is kept as it is, for start-up errors come that way. */
export function parseLogLine(text: string): LogLine {
  const parsed = jsonLine.safeParse(parseJson(text));
  if (!parsed.success) return { level: 'critical', message: text, object: null, isJson: false };
  const { level, msg, object, objectType } = parsed.data;
  const isItem = object !== undefined && object !== '' && !(objectType ?? '').endsWith('.Fs');
  return { level: levelOf(level), message: msg, object: isItem ? object : null, isJson: true };
}

function levelOf(level: string): LogLine['level'] {
  switch (level) {
    case 'error':
      return 'error';
    case 'critical':
    case 'alert':
    case 'emergency':
    case 'fatal':
    case 'panic':
      return 'critical';
    case 'warning':
    case 'notice':
      return 'notice';
    default:
      return 'info';
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // Not JSON is an answer, not a fault.
    return undefined;
  }
}
