/**
 * Local time by the runtime's own time zone database. A "wall" is a local time written as milliseconds, as if it were UTC; an
 * instant is milliseconds since 1970-01-01T00:00Z.
 */

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

const formats = new Map<string, Intl.DateTimeFormat>();

/** True for names of the IANA database such as `Europe/Berlin`; fixed offsets (`+02:00`) are none. */
export function isTimeZone(name: string): boolean {
  if (!/^[A-Za-z]/.test(name)) return false;
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone);
  if (known !== undefined) return known;
  const format = new Intl.DateTimeFormat('en-US', { timeZone: zone, timeZoneName: 'longOffset' });
  formats.set(zone, format);
  return format;
}

/** Local time minus UTC, in milliseconds. Throws RangeError for an unknown zone. */
export function offsetAt(zone: string, instant: number): number {
  const text = formatOf(zone).format(instant);
  const match = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/.exec(text);
  if (match === null) throw new Error(`no offset in ${JSON.stringify(text)}`);
  const [, sign, hours = '0', minutes = '0', seconds = '0'] = match;
  const size = (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1000;
  return sign === '-' ? -size : size;
}

export function wallOf(zone: string, instant: number): number {
  return instant + offsetAt(zone, instant);
}

/** What a local time means: one instant, two when clocks were set back over it, none when they were set forward over it. */
export interface WallMeaning {
  /** In order; empty in a gap. */
  readonly instants: readonly number[];
  /** Only for a gap: the first instant after it, and where the old offset would have put the local time. */
  readonly gap: { readonly end: number; readonly shifted: number } | null;
}

export function meaningOf(zone: string, wall: number): WallMeaning {
  // No zone is further than a day from UTC, so these two lie before and after any change that touches the local time.
  const before = offsetAt(zone, wall - dayMs);
  const after = offsetAt(zone, wall + dayMs);
  if (before === after) return { instants: [wall - before], gap: null };
  const instants = [wall - before, wall - after].filter((instant) => wallOf(zone, instant) === wall);
  if (instants.length > 0) return { instants: instants.sort((a, b) => a - b), gap: null };
  return { instants, gap: { end: changeBetween(zone, wall - dayMs, wall + dayMs), shifted: wall - before } };
}

/** The first occurrence; in a gap the first instant after it. Grows with the local time. */
export function firstOf({ instants, gap }: WallMeaning): number {
  return instants[0] ?? gap?.end ?? Number.NaN;
}

export function firstInstant(zone: string, wall: number): number {
  return firstOf(meaningOf(zone, wall));
}

/** The first occurrence after `after`; in a gap the first instant after the gap. */
export function nextInstant(zone: string, wall: number, after: number): number {
  const { instants, gap } = meaningOf(zone, wall);
  return instants.find((instant) => instant > after) ?? gap?.end ?? Number.NaN;
}

/** The instant in (low, high] from which the offset is that of `high`; the two offsets differ. */
function changeBetween(zone: string, low: number, high: number): number {
  const old = offsetAt(zone, low);
  let from = low;
  let to = high;
  while (to - from > 1) {
    const middle = Math.floor((from + to) / 2);
    if (offsetAt(zone, middle) === old) from = middle;
    else to = middle;
  }
  return to;
}
