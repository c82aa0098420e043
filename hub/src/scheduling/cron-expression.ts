import { Cron } from 'croner';

const fieldText = /^[0-9A-Za-z*,/#-]+$/;
const fieldCount = 5;

/** Local times that a cron expression names. */
export interface LocalTimes {
  /** The first local time after `wall` (both as if UTC, in milliseconds), or null when there is none. */
  next(wall: number): number | null;
  /**
   * Whether the hours run on (`*`, `*\/2`): then it follows elapsing time over a change of the clocks. Else its times belong
   * to the day and come once each.
   */
  readonly followsRealTime: boolean;
}

/**
 * Parses five fields: minute, hour, day of month, month, weekday (0–7, Sunday is 0 and 7). Names (MON, JAN), lists, ranges, steps,
 * `L`, `W` and `#` are croner's. Throws Error with a sentence for the user.
 */
export function parseCron(expression: string): LocalTimes {
  const fields = expression.trim().split(/\s+/);
  if (fields.length > fieldCount) {
    throw new Error('has more than five fields; seconds and years are not supported');
  }
  if (fields.length < fieldCount || !fields.every((field) => fieldText.test(field))) {
    throw new Error('must have five fields: minute, hour, day of month, month, weekday');
  }
  const cron = makeCron(fields.join(' '));
  const hours = fields[1] ?? '';
  return {
    next: (wall) => cron.nextRun(new Date(wall))?.getTime() ?? null,
    followsRealTime: hours.startsWith('*') || hours.startsWith('0-23'),
  };
}

function makeCron(pattern: string): Cron {
  try {
    // Only ever asked about UTC: croner knows local times, but what a change of the clocks does to them is decided here.
    return new Cron(pattern, { mode: '5-part', utcOffset: 0 });
  } catch (error) {
    const words = error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error);
    throw new Error(`is not valid: ${words}`, { cause: error });
  }
}
