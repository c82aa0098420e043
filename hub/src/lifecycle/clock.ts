import { type RawBuilder, sql } from 'kysely';

/** The database's clock, so that all Hubs agree; `offsetMs` may be negative. */
export function dbNow(offsetMs = 0): RawBuilder<Date> {
  return offsetMs === 0 ? sql<Date>`now()` : sql<Date>`now() + make_interval(secs => ${offsetMs / 1000})`;
}
